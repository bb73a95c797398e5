# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""How a request leaves that Nova did not see through: with nothing held.

Allocations, port bindings, claims, volumes and the server's task state are
given back; of one whose guest has arrived, what it held here. Each step may
be done twice, each is tried even if one before it failed, and what failed is
tried again, across restarts, until it is done.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools
import threading
import time
from typing import Any

from nova.compute import manager as nova_manager
from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from nova import safe_utils
from oslo_log import log as logging

from nova_throttle.compute import compat
from nova_throttle.compute import present
from nova_throttle.compute import senders
from nova_throttle.compute.source import allocations
from nova_throttle.compute.source import belongings
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)

# Seconds between two attempts to clean up: doubled from the first to the
# last after each that failed.
RETRY_FIRST = 10.0
RETRY_LAST = 600.0

# A server that is on its destination leaves too, if Nova could not see its
# migration through.
COMPLETED = 'completed'

Ask = Callable[[], present.Standing]

# Without the decorators that add a fault at each attempt.
_rollback = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager._rollback_live_migration
)


@dataclasses.dataclass
class _Departure:
    """A migration that has to leave, and has not managed to yet."""

    migration: migration_lib.LiveMigration
    status: str
    delay: float = RETRY_FIRST
    due: float = 0.0
    # Two threads must not clean up after the same migration at once.
    busy: bool = False


class Leaver:
    """Takes migrations out and remembers those that could not be cleaned up.

    :param manager: the compute manager of the source host.
    :param journal: where a migration is kept until it has left.
    :param phase_of: how far this host has come with a migration.
    """

    def __init__(
        self,
        manager: Any,
        journal: journal_lib.Journal,
        phase_of: present.PhaseOf,
    ) -> None:
        self._manager = manager
        self._journal = journal
        self._phase_of = phase_of
        self._departures: dict[str, _Departure] = {}
        self._lock = threading.Lock()
        # Each by itself: another host that is silent holds up its own only.
        self._retries = senders.Postman('cleanup', self._retry)

    @property
    def idle(self) -> bool:
        """Whether nothing is tried again now."""
        return self._retries.idle

    def leave(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        reason: BaseException,
    ) -> bool:
        """Give back all that a migration holds which does not migrate.

        :param migration: a migration that is not in the driver.
        :param status: the final status of its migration record.
        :param reason: why it leaves.
        :returns: whether all is done; otherwise it is tried again later.
        """
        LOG.info(
            'Live migration %(uuid)s to %(dest)s: %(work)s (%(status)s): '
            '%(reason)s',
            {
                'work': 'finishing' if status == COMPLETED else 'rolling back',
                'uuid': migration.record.uuid,
                'dest': migration.dest,
                'status': status,
                'reason': reason,
            },
            instance=migration.instance,
        )
        try:
            self._journal.put(
                entries.entry_of(
                    migration, 'leaving', status=status, reason=str(reason)
                )
            )
        except Exception:
            # It leaves all the same: only a restart would forget it.
            LOG.exception('Cannot note that %s leaves', migration)
        return self.attempt(migration, status)

    def attempt(
        self, migration: migration_lib.LiveMigration, status: str
    ) -> bool:
        """Clean up after a migration that leaves; see leave()."""
        with self._lock:
            departure = self._departures.setdefault(
                migration.record.uuid, _Departure(migration, status)
            )
        return self._try(departure)

    def _try(self, departure: _Departure) -> bool:
        uuid = departure.migration.record.uuid
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
        return _clean(
            self._manager, migration, departure.status, self._phase_of
        ) and _succeeds(
            migration, lambda: self._journal.remove(migration.record.uuid)
        )

    def knows(self, migration_uuid: str) -> bool:
        """Tell whether a migration is leaving."""
        return migration_uuid in self._departures

    def undoing(self, instance_uuid: str) -> str | None:
        """Return the migration of a server that is not undone yet, if any."""
        with self._lock:
            migrations = [
                departure.migration for departure in self._departures.values()
            ]
        for migration in migrations:
            if (
                migration.instance.uuid == instance_uuid
                and migration.may_be_prepared
            ):
                uuid: str = migration.record.uuid
                return uuid
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


def _clean(
    manager: Any,
    migration: migration_lib.LiveMigration,
    status: str,
    phase_of: present.PhaseOf,
) -> bool:
    def ask() -> present.Standing:
        return _find(migration, phase_of)

    if not _succeeds(migration, ask):
        return False
    # All are tried, whatever fails.
    given_back = [
        _succeeds(migration, step)
        for step in _steps(manager, migration, status, ask)
    ]
    # Last, and only then: until then it can be seen that all is not done.
    return all(given_back) and _succeeds(
        migration, lambda: _settle(migration, status, ask())
    )


def _succeeds(
    migration: migration_lib.LiveMigration, step: Callable[[], object]
) -> bool:
    try:
        step()
    except Exception:
        LOG.warning(
            'A step of cleaning up after live migration %s failed and will '
            'be tried again',
            migration.record.uuid,
            instance=migration.instance,
            exc_info=True,
        )
        return False
    return True


def _steps(
    manager: Any, migration: migration_lib.LiveMigration, status: str, ask: Ask
) -> Iterator[Callable[[], object]]:
    completed = status == COMPLETED
    if completed and migration.found_instance is not None:
        yield lambda: allocations.keep(
            manager,
            migration.context,
            migration.found_instance,
            migration.record,
        )
    if completed or not migration.standing.is_ours:
        if migration.may_be_prepared and not completed:
            yield lambda: belongings.undo(manager, migration, ask())
        yield from belongings.steps(
            manager,
            migration.context,
            migration.record,
            migration.requested_data,
            ask,
        )
        return
    for step in _own_steps(manager, migration, status):
        yield functools.partial(_while_ours, step, ask)


def _while_ours(step: Callable[[], object], ask: Ask) -> None:
    """Take a step that changes the server, if that may still be done."""
    standing = ask()
    if not standing.is_ours:
        raise standing.reason
    step()


def _own_steps(
    manager: Any, migration: migration_lib.LiveMigration, status: str
) -> Iterator[Callable[[], object]]:
    """Give back what a request holds whose server stays."""
    context = migration.context
    if migration.may_be_prepared:
        yield lambda: _roll_back(manager, migration, status)
    yield lambda: allocations.revert(manager, migration)
    # Deletes the inactive port bindings of the destination.
    yield lambda: manager.network_api.setup_networks_on_host(
        context, migration.found_instance, host=migration.dest, teardown=True
    )
    if _has_claim(migration.requested_data):
        yield lambda: _drop_claim(manager, migration)


def _find(
    migration: migration_lib.LiveMigration, phase_of: present.PhaseOf
) -> present.Standing:
    """Read again whose the instance is: what is known is stale."""
    standing = present.look(migration.context, migration.record, phase_of)
    migration.standing = standing.settled()
    migration.found_instance = standing.instance
    return standing


def _roll_back(
    manager: Any, migration: migration_lib.LiveMigration, status: str
) -> None:
    """Undo what the destination prepared."""
    present.make_migrating(migration.found_instance)
    migration.migrate_data.migration = migration.record
    _rollback(
        manager,
        migration.context,
        migration.instance,
        migration.dest,
        migration.migrate_data,
        status,
        source_bdms=migration.source_bdms,
    )
    migration.called_back = True


def _has_claim(migrate_data: Any) -> bool:
    # Set by the source's check only if the destination claimed.
    name = 'src_supports_numa_live_migration'
    return bool(
        migrate_data is not None
        and name in migrate_data
        and getattr(migrate_data, name)
    )


def _drop_claim(manager: Any, migration: migration_lib.LiveMigration) -> None:
    # A service that is down forgets its claims: it rebuilds them, at its
    # start, from the records of migrations that are not over.
    if checks.service_state(migration.context, migration.dest) not in (
        'down',
        'deleted',
    ):
        manager.compute_rpcapi.drop_move_claim_at_destination(
            migration.context, migration.instance, migration.dest
        )


def _settle(
    migration: migration_lib.LiveMigration,
    status: str,
    standing: present.Standing,
) -> None:
    if standing.is_ours and status != COMPLETED:
        _settle_instance(migration.found_instance)
    _settle_migration(migration, status)


def _settle_instance(instance: Any) -> None:
    """Make the instance ACTIVE on its host again."""
    if instance.task_state != task_states.MIGRATING:
        return
    instance.task_state = None
    instance.progress = 0
    instance.drop_migration_context()
    try:
        instance.save(expected_task_state=[task_states.MIGRATING])
    except nova_exception.InstanceNotFound:
        LOG.debug('The instance was deleted', instance=instance)


def _settle_migration(
    migration: migration_lib.LiveMigration, status: str
) -> None:
    """Give the record its final status, unless it has one.

    What completed did so whatever the record says.
    """
    try:
        migration.record = objects.Migration.get_by_uuid(
            migration.context, migration.record.uuid
        )
    except nova_exception.MigrationNotFound:
        return
    found = migration.record.status
    if found != status and (
        found not in compat.FINAL_STATUSES or status == COMPLETED
    ):
        migration.record.status = status
        migration.record.save()
