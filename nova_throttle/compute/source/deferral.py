# SPDX-License-Identifier: Apache-2.0

"""A fault that may pass does not end a migration that is not prepared yet.

A destination that counts as down, a conductor, Placement or a hypervisor that
does not answer: the request goes back to its position in the queue, and
others go on meanwhile. It is tried again until its grace time is over.
"""

from collections.abc import Callable
import dataclasses
import threading
import time

import nova.conf
from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.admission import priority
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import ending
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute import threads
from nova_throttle import events
from nova_throttle import exception
from nova_throttle import lifecycle

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

State = lifecycle.State

WaitReason = snapshot_lib.WaitReason

# Seconds until a start is tried again, and between two questions about one
# destination that is down.
RETRY = 5.0


# What the record may say of a queued request, if a write of ours failed, or
# was done without our knowing.
_NOT_YET = ('accepted', 'preparing')


@dataclasses.dataclass(slots=True)
class _Deferred:
    """A request that met a fault.

    All times are seconds on the monotonic clock.

    :param error: the last fault.
    :param since: when it met the first, had it not waited for a slot since.
    :param due: when it is tried again; None while it may be admitted.
    :param resumed: since when it may be admitted, and was not.
    """

    migration: migration_lib.LiveMigration
    error: BaseException
    since: float
    due: float | None
    resumed: float | None = None


class Deferral:
    """Defers the requests of one host that met a fault which may pass.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param throttle: its admission controller.
    :param take_out: takes a migration out for good: with it, the final
        status and the reason.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        throttle: controller.Controller,
        take_out: Callable[
            [migration_lib.LiveMigration, str, BaseException], None
        ],
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._throttle = throttle
        self._take_out = take_out
        self._lock = threading.Lock()
        self._deferred: dict[str, _Deferred] = {}
        self._task = threads.PeriodicTask('deferred', self._look)

    def defer(
        self, migration: migration_lib.LiveMigration, error: BaseException
    ) -> bool:
        """Note a fault that a migration met before its destination prepared.

        :returns: whether it may go on waiting; False if the fault does not
            pass, or the grace time is over.
        """
        if not _may_pass(error):
            return False
        now = time.monotonic()
        with self._lock:
            known = self._deferred.get(migration.record.uuid)
            since = known.since if known else now
            if now - since >= CONF.nova_throttle.fault_grace_time:
                return False
            self._note(migration, error, since)
        # It may be tried again for minutes, every few seconds.
        is_news = known is None or str(known.error) != str(error)
        LOG.log(
            logging.WARNING if is_news else logging.DEBUG,
            'Live migration %(uuid)s to %(dest)s cannot start now, keeps its '
            'position in the queue and is tried again: %(error)s',
            {
                'uuid': migration.record.uuid,
                'dest': migration.destination,
                'error': error,
            },
            instance=migration.instance,
            exc_info=known is None and _is_foreign(error) and error,
        )
        return True

    def defer_others(self, migration: migration_lib.LiveMigration) -> None:
        """Have those wait too that are queued for a destination that is down.

        :param migration: the migration that has found that out.
        """
        deferred = self._deferred.get(migration.record.uuid)
        if deferred is None or _reason(deferred) is not WaitReason.DOWN:
            return
        now = time.monotonic()
        for other in self._migrations.queued_for(migration.destination):
            uuid = other.record.uuid
            with self._lock:
                if uuid in self._deferred:
                    continue
                self._note(other, deferred.error, now)
            self._throttle.defer(uuid, WaitReason.DOWN)

    def reason(
        self, migration: migration_lib.LiveMigration
    ) -> WaitReason | None:
        """Return why a migration is passed over; None if it is not."""
        deferred = self._deferred.get(migration.record.uuid)
        if deferred is None or deferred.due is None:
            return None
        return _reason(deferred)

    def begin(self, migration: migration_lib.LiveMigration) -> None:
        """Note that a migration was admitted: it is tried now."""
        with self._lock:
            deferred = self._deferred.get(migration.record.uuid)
            if deferred is None:
                return
            if deferred.resumed is not None:
                # A wait for a slot is no part of the grace time.
                deferred.since += time.monotonic() - deferred.resumed
            deferred.due = deferred.resumed = None

    def note(self, transition: events.Transition) -> None:
        """Forget a fault once its migration is past it, or ends."""
        if transition.after in (State.QUEUED, State.PREPARING):
            return
        with self._lock:
            self._deferred.pop(transition.migration_uuid, None)

    def stop(self) -> None:
        """Try nothing again; what is deferred stays in the queue."""
        self._task.stop()

    def _note(
        self,
        migration: migration_lib.LiveMigration,
        error: BaseException,
        since: float,
    ) -> None:
        self._deferred[migration.record.uuid] = _Deferred(
            migration, error, since, time.monotonic() + RETRY
        )
        self._task.start(RETRY)

    def _look(self, context: border.Context) -> None:
        """Try again what is due; ask once about each destination."""
        now = time.monotonic()
        with self._lock:
            waiting = [d for d in self._deferred.values() if d.due is not None]
            if not waiting:
                self._task.stop()
                return
        down = {
            d.migration.destination
            for d in waiting
            if _is_due(d, now) and _reason(d) is WaitReason.DOWN
        }
        still_down = {host for host in down if _is_down(context, host)}
        for deferred in sorted(waiting, key=_place):
            host = deferred.migration.destination
            # An answer is for all that wait for it: they keep their order.
            is_answered = host in down and _reason(deferred) is WaitReason.DOWN
            if not is_answered and not _is_due(deferred, now):
                continue
            if request_lib.is_used(deferred.migration.request.ticket):
                continue  # it is not back in the queue yet
            if host in still_down:
                self._wait_on(deferred)
            else:
                self._resume(deferred)

    def _resume(self, deferred: _Deferred) -> None:
        migration = deferred.migration
        try:
            self._mend(migration)
        except Exception as error:
            if str(error) != str(deferred.error):
                LOG.warning(
                    'Live migration %(uuid)s cannot be tried again now: '
                    '%(error)s',
                    {'uuid': migration.record.uuid, 'error': error},
                    instance=migration.instance,
                )
            deferred.error = error
            self._wait_on(deferred)
            return
        with self._lock:
            deferred.due = None
            deferred.resumed = time.monotonic()
            if _reason(deferred) is WaitReason.DOWN:
                # It was seen up: that fault has passed.
                self._deferred.pop(migration.record.uuid, None)
        self._throttle.defer(migration.record.uuid, None)

    def _wait_on(self, deferred: _Deferred) -> None:
        now, migration = time.monotonic(), deferred.migration
        if now - deferred.since < CONF.nova_throttle.fault_grace_time:
            deferred.due = now + RETRY
        elif migration.request.ticket.cancel():
            self._take_out(migration, 'error', deferred.error)

    def _mend(self, migration: migration_lib.LiveMigration) -> None:
        """See that the record says queued, which the fault may have kept."""
        found = objects.Migration.get_by_uuid(
            migration.context, migration.record.uuid
        )
        if found.status in _NOT_YET:
            self._manager._set_migration_status(found, 'queued')
        migration.record = found


def _is_due(deferred: _Deferred, now: float) -> bool:
    return deferred.due is not None and deferred.due <= now


def _place(deferred: _Deferred) -> int:
    """Tell where a request stands in the queue, to sort by."""
    request = deferred.migration.request
    return priority.rank(request.priority, request.arrival)


def _may_pass(error: BaseException) -> bool:
    """Tell whether a fault may be gone when it is tried again."""
    if isinstance(error, exception.ThrottleError):
        return error.may_pass
    return ending.is_away(error)


def _is_foreign(error: BaseException) -> bool:
    # One of ours says all in its line.
    return not isinstance(error, exception.ThrottleError)


def _reason(deferred: _Deferred) -> WaitReason:
    if isinstance(deferred.error, exception.DestinationUnavailable):
        return WaitReason.DOWN
    return WaitReason.FAILED


def _is_down(context: border.Context, host: str) -> bool:
    try:
        return checks.service_state(context, host) == 'down'
    except Exception as error:
        LOG.warning(
            'Cannot ask whether %(host)s is up again: %(error)s',
            {'host': host, 'error': error},
        )
        return True
