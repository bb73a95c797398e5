# SPDX-License-Identifier: Apache-2.0

"""Says why each queued live migration waits, where somebody can see it.

In the log once per change of the reason; and as an event under the instance
action, so that a user who can't see the host knows it. The event names no
host and nobody else's migration.
"""

from collections.abc import Callable
from typing import Any

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.compute import keyed_workers
from nova_throttle.compute.source import event
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute import threads

LOG = logging.getLogger(__name__)

# How the events are called, with the gate's name behind it.
EVENT_PREFIX = 'nova_throttle_wait_'

# What passes by itself, in a moment.
_PASSING = frozenset(
    {snapshot_lib.WaitReason.ASKING, snapshot_lib.WaitReason.CLAIMING}
)

_Key = tuple[tuple[str, str, str], ...]


class WaitEvents:
    """Reports what the queue of a host waits for.

    :param host: this host.
    :param migrations: its migrations.
    :param snapshot: returns what is true at this instant.
    """

    def __init__(
        self,
        host: str,
        migrations: registry.Registry,
        snapshot: Callable[[], snapshot_lib.Snapshot],
    ) -> None:
        self._host = host
        self._migrations = migrations
        self._snapshot = snapshot
        self._known: dict[str, _Key] = {}
        self._events: dict[str, _Events] = {}
        self._workers = keyed_workers.KeyedWorkers(
            'wait-events', self._report, threads=1
        )

    @property
    def idle(self) -> bool:
        """Whether all is reported."""
        return self._workers.idle

    def refresh(self) -> None:
        """Have what changed reported soon."""
        self._workers.post(self._host)

    def _report(self, host: str) -> None:
        # Changes come in bursts, and this one may be of a hand-over.
        threads.step_back()
        queue = {e.migration_uuid: e for e in self._snapshot().queue}
        for uuid, entry in queue.items():
            waits = [w for w in entry.waits_for if w.reason not in _PASSING]
            key = tuple((w.reason.value, w.gate, w.host) for w in waits)
            if waits and key != self._known.get(uuid):
                self._known[uuid] = key
                self._tell(entry, waits)
        for uuid in [uuid for uuid in self._known if uuid not in queue]:
            del self._known[uuid]
            events = self._events.pop(uuid, None)
            if events is not None:
                events.show(set())
        # Log lines of whatever this thread does next are not a migration's.
        nova_context.get_admin_context().update_store()

    def _tell(
        self, entry: snapshot_lib.QueueEntry, waits: list[snapshot_lib.Wait]
    ) -> None:
        LOG.info(
            'Live migration %(uuid)s to %(dest)s waits, position '
            '%(position)s on this host: %(waits)s',
            {
                'uuid': entry.migration_uuid,
                'dest': entry.destination,
                'position': entry.position,
                'waits': '; '.join(map(str, waits)),
            },
            instance_uuid=entry.instance_uuid,
        )
        migration = self._migrations.of_migration(entry.migration_uuid)
        if migration is not None:
            migration.has_waited = True
            events = self._events.setdefault(
                entry.migration_uuid, _Events(self._host, migration)
            )
            events.show({wait.gate for wait in waits if wait.gate})


class _Events:
    """The events of one migration, one for each gate that it ever waited for.

    Nova can finish only the first event of a name, so there is one.
    """

    def __init__(
        self, host: str, migration: migration_lib.LiveMigration
    ) -> None:
        self._host = host
        self._migration = migration
        self._open: dict[str, Any] = {}
        # It may leave the queue, and come back.
        self._shown = migration.shown_gates

    def show(self, gates: set[str]) -> None:
        """Have open events for these gates only."""
        for gate in set(self._open) - gates:
            event.leave(self._migration, self._open.pop(gate))
        for gate in sorted(gates - self._shown):
            self._shown.add(gate)
            self._open[gate] = event.enter(
                self._host, self._migration, EVENT_PREFIX + gate
            )
