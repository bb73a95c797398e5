# SPDX-License-Identifier: Apache-2.0

"""What the last nova-compute of this host left is found and carried on.

Nothing here blocks or fails the start of the service: it runs beside it and
is tried again until it is done. What may be in the driver keeps its slots
until it is known to be over.
"""

import dataclasses
import threading
import time

from oslo_log import log as logging

from nova_throttle.admission import standstill
from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import keyed_workers
from nova_throttle.compute.source import resumption as resumption_lib
from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.objects import entry as entry_obj

LOG = logging.getLogger(__name__)

State = lifecycle.State
Standstill = standstill.Standstill

# Seconds until it is tried again to go on with one, doubled from the first to
# the last after each attempt that failed.
RETRY_FIRST = 2.0
RETRY_LAST = 60.0

# An end that nobody saw may be in the driver still.
_KEEPS_SLOTS = (State.PREPARING, State.PREPARED, State.TRANSFERRING)


@dataclasses.dataclass
class _Pending:
    """A migration that is not carried on yet."""

    entry: entry_obj.JournalEntry
    delay: float = RETRY_FIRST
    due: float = 0.0

    @property
    def state(self) -> State:
        return State(self.entry.state)

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.due


class Recovery:
    """Carries on with what the journal holds.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._parts = parts
        self._resumption = resumption_lib.Resumption(parts)
        # By migration, in the order of the queue.
        self._pending: dict[str, _Pending] = {}
        # Two that carry on would each restore the same entry.
        self._carrying = threading.Lock()
        # Each by itself: one whose hypervisor hangs holds up its own only.
        self._interrupted = keyed_workers.KeyedWorkers(
            'interrupted', self._resume_one
        )
        parts.completion.recover = self.recover

    @property
    def idle(self) -> bool:
        """Whether nothing is carried on with now."""
        return self._interrupted.idle

    def begin(self) -> None:
        """Take what was in progress as owners, before anything starts."""
        for reason in (Standstill.STARTING, Standstill.COUNTING):
            self._parts.throttle.halt(reason)
        self._parts.control.begin()
        # A manager that was stopped may start again.
        self._parts.throttle.resume(Standstill.STOPPING)
        known = self._parts.migrations.of_migration
        self._pending = {
            entry.migration_uuid: _Pending(entry)
            for entry in self._parts.journal.entries()
            if known(entry.migration_uuid) is None
        }
        for pending in self._pending.values():
            if pending.state in _KEEPS_SLOTS:
                on_wire = pending.state is State.TRANSFERRING
                self._parts.throttle.adopt(
                    resumption_lib.request_of(pending.entry), 1 + on_wire
                )
            if pending.state in lifecycle.IN_HAND:
                self._parts.succession.begin(pending.entry)

    def open_if_nothing_is_left(self) -> None:
        """Let requests start at once where there is no queue to restore."""
        if not self._pending:
            self._parts.throttle.resume(Standstill.STARTING)

    def will_deal_with(self, instance_uuid: str) -> bool:
        """Tell whether an instance in migration is ours to mend."""
        return any(
            pending.entry.instance_uuid == instance_uuid
            for pending in list(self._pending.values())
        )

    def carry_on(self) -> bool:
        """Restore the queue, then have dealt with what was interrupted.

        What fails is tried again when this is called later.

        :returns: whether that should be soon.
        """
        with self._carrying:
            pending = list(self._pending.values())
            # Backwards, each before the one that stood behind it.
            for each in reversed(pending):
                if each.state is State.QUEUED and each.is_due:
                    self._try(each)
            # Also if one failed: it must not keep the others waiting.
            self._parts.throttle.resume(Standstill.STARTING)
        for each in reversed(pending):
            if each.state is not State.QUEUED and each.is_due:
                self._interrupted.post(each.entry.migration_uuid)
        return bool(self._pending)

    def recover(self, migration_uuid: str) -> None:
        """Deal with one of this service as if it had been restarted."""
        entry = self._parts.journal.get(migration_uuid)
        if entry is not None:
            self._parts.succession.begin(entry)
            self._pending[migration_uuid] = _Pending(entry)
            self._interrupted.post(migration_uuid)

    def _resume_one(self, migration_uuid: str) -> bool:
        pending = self._pending.get(migration_uuid)
        return pending is None or self._try(pending)

    def _try(self, pending: _Pending) -> bool:
        entry = pending.entry
        try:
            self._resumption.resume(entry)
        except Exception as error:
            self._put_off(pending, error)
            return False
        # It is another's already if the manager was started again meanwhile.
        if self._pending.get(entry.migration_uuid) is pending:
            del self._pending[entry.migration_uuid]
        self._parts.succession.end(entry)
        return True

    def _put_off(self, pending: _Pending, error: Exception) -> None:
        """Go on later, from how far this attempt has come."""
        entry = pending.entry
        is_first = not pending.due
        pending.due = time.monotonic() + pending.delay
        pending.delay = min(2 * pending.delay, RETRY_LAST)
        LOG.warning(
            'Live migration %(uuid)s, which is %(state)s, cannot be carried '
            'on with now and will be tried again: %(error)s',
            {
                'uuid': entry.migration_uuid,
                'state': pending.state.value,
                'error': error,
            },
            instance_uuid=entry.instance_uuid,
            exc_info=is_first
            and not isinstance(error, exception.ThrottleError),
        )
        latest = self._parts.journal.get(entry.migration_uuid)
        if latest is not None:
            pending.entry = latest
