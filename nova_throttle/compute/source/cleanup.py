# SPDX-License-Identifier: Apache-2.0

"""Migrations that have to give back what they hold, until they have.

What failed is tried again, with growing pauses and across restarts.
"""

import dataclasses
import threading
import time

from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import keyed_workers
from nova_throttle.compute import present
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import rollback
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle

LOG = logging.getLogger(__name__)

# Seconds between two attempts to clean up: doubled from the first to the
# last after each that failed.
RETRY_FIRST = 10.0
RETRY_LAST = 600.0

COMPLETED = rollback.COMPLETED


@dataclasses.dataclass
class _Departure:
    """A migration that has to leave, and has not managed to yet."""

    migration: migration_lib.LiveMigration
    status: str
    delay: float = RETRY_FIRST
    due: float = 0.0
    # Two threads must not clean up after the same migration at once.
    busy: bool = False


class Cleanup:
    """Has migrations give back what they hold, and remembers which have to.

    :param manager: the compute manager of the source host.
    :param journal: where a migration is kept until it is over.
    :param state_of: how far this host has come with a migration.
    """

    def __init__(
        self,
        manager: border.Manager,
        journal: journal_lib.Journal,
        state_of: present.StateOf,
    ) -> None:
        self._manager = manager
        self._journal = journal
        self._state_of = state_of
        self._departures: dict[str, _Departure] = {}
        self._lock = threading.Lock()
        # Each by itself: another host that is silent holds up its own only.
        self._retries = keyed_workers.KeyedWorkers('cleanup', self._retry)

    @property
    def idle(self) -> bool:
        """Whether nothing is tried again now."""
        return self._retries.idle

    def begin(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        reason: BaseException,
    ) -> bool:
        """Give back all that a migration holds which is not in the driver.

        :param status: the final status of its record.
        :param reason: why it ends.
        :returns: whether all is done; otherwise it is tried again later.
        """
        arrived = status == COMPLETED
        LOG.info(
            'Live migration %(uuid)s to %(dest)s: %(work)s (%(status)s): '
            '%(reason)s',
            {
                'work': 'finishing' if arrived else 'rolling back',
                'uuid': migration.uuid,
                'dest': migration.destination,
                'status': status,
                'reason': reason,
            },
            instance=migration.instance,
        )
        if migration.state is not lifecycle.State.OVER:
            migration.become(
                lifecycle.State.ARRIVED
                if arrived
                else lifecycle.State.ROLLING_BACK
            )
        self._note(migration, status, reason)
        return self.attempt(migration, status)

    def _note(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        reason: BaseException,
    ) -> None:
        """Keep on disk how a migration ends, before it does."""
        try:
            self._journal.put(
                entries.entry_of(migration, status=status, reason=str(reason))
            )
        except Exception:
            # It ends all the same: only a restart would forget it.
            LOG.exception('Cannot note the end of %s', migration)

    def attempt(
        self, migration: migration_lib.LiveMigration, status: str
    ) -> bool:
        """Clean up after a migration that ends; see begin()."""
        with self._lock:
            departure = self._departures.setdefault(
                migration.uuid, _Departure(migration, status)
            )
        return self._try(departure)

    def _try(self, departure: _Departure) -> bool:
        uuid = departure.migration.uuid
        with self._lock:
            over = self._departures.get(uuid) is not departure
            if over or departure.busy:
                return over
            departure.busy = True
        done = self._clean_and_forget(departure)
        with self._lock:
            departure.busy = False
            if done:
                del self._departures[uuid]
            else:
                departure.due = time.monotonic() + departure.delay
                departure.delay = min(2 * departure.delay, RETRY_LAST)
        return done

    def _clean_and_forget(self, departure: _Departure) -> bool:
        migration = departure.migration
        attempt = rollback.Rollback(
            self._manager, migration, departure.status, self._state_of
        )
        return attempt.attempt() and rollback.succeeds(
            migration, lambda: self._journal.remove(migration.uuid)
        )

    def knows(self, migration_uuid: str) -> bool:
        """Tell whether a migration has something to give back."""
        return migration_uuid in self._departures

    def undoing(self, instance_uuid: str) -> str | None:
        """Return the migration of a server that is not undone yet, if any."""
        with self._lock:
            migrations = [each.migration for each in self._departures.values()]
        for migration in migrations:
            if (
                migration.instance.uuid == instance_uuid
                and migration.state is lifecycle.State.ROLLING_BACK
                and migration.may_be_prepared
            ):
                return migration.uuid
        return None

    def retry(self) -> None:
        """Have tried again what failed before and is due."""
        with self._lock:
            due = [
                uuid
                for uuid, departure in self._departures.items()
                if time.monotonic() >= departure.due and not departure.busy
            ]
        for uuid in due:
            self._retries.post(uuid)

    def _retry(self, migration_uuid: str) -> bool:
        departure = self._departures.get(migration_uuid)
        return departure is None or self._try(departure)
