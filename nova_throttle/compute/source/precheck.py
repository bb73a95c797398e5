# SPDX-License-Identifier: Apache-2.0

"""What a request is about is read while it waits, not when its slot is free.

What was read is good for a few seconds, and no longer than until a migration
of this host comes to its end: then it is read again. A request of which
nothing good is known is read about when it starts.
"""

from collections.abc import Callable
import threading
import time

from oslo_log import log as logging

from nova_throttle.admission import request as request_lib
from nova_throttle.compute import border
from nova_throttle.compute import keyed_workers
from nova_throttle.compute.source import allocations
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute import threads
from nova_throttle import events
from nova_throttle import lifecycle

LOG = logging.getLogger(__name__)

State = lifecycle.State

# How many of those that may be next are looked at ahead.
AHEAD = 2

# The slots of such a migration are free soon.
_ENDING = (State.ARRIVED, State.ROLLING_BACK)


class Precheck:
    """What is known of the next requests of one host.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param next_in_line: returns so many requests that may be next.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        next_in_line: Callable[[int], tuple[request_lib.Request, ...]],
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._next_in_line = next_in_line
        self._lock = threading.Lock()
        self._known: dict[str, checks.Facts] = {}
        # Counts the times at which what was known became old.
        self._era = 0
        self._workers = keyed_workers.KeyedWorkers(
            'precheck', self._look, threads=AHEAD
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is read or to be read."""
        return self._workers.idle

    def note(self, transition: events.Transition) -> None:
        """Read about the next ones when one soon ends; forget the others."""
        if transition.after in _ENDING:
            with self._lock:
                self._known.clear()
                self._era += 1
            self.look_ahead()
        elif transition.after is not State.PREPARING:
            with self._lock:
                self._known.pop(transition.migration_uuid, None)

    def look_ahead(self) -> None:
        """Read about those that may be next.

        Called once the present one is on its way: it need not wait for that.
        """
        for request in self._next_in_line(AHEAD):
            self._workers.post(request.migration_uuid)

    def settle(self, migration: migration_lib.LiveMigration) -> None:
        """Bring a migration that starts up to date, or refuse it.

        :raises ThrottleError: one that says what has become of it.
        """
        with self._lock:
            facts = self._known.pop(migration.uuid, None)
        if facts is not None and time.monotonic() - facts.at < checks.GOOD:
            checks.adopt(migration, facts)
            checks.check_guest(self._manager, migration)
            return
        checks.adopt(migration, checks.read(self._manager, migration))
        allocations.restore(self._manager, migration)

    def _look(self, migration_uuid: str) -> None:
        """Read about a queued one; what is wrong is said at its start."""
        threads.step_back()
        migration = self._migrations.of_migration(migration_uuid)
        if migration is None or migration.state is not State.QUEUED:
            return
        era = self._era
        try:
            facts = checks.read(self._manager, migration)
            is_good = allocations.are_complete(self._manager, migration)
        except Exception as error:
            LOG.debug('%s may not be able to start: %s', migration, error)
            return
        with self._lock:
            if is_good and era == self._era:
                self._known[migration_uuid] = facts
