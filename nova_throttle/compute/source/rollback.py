# SPDX-License-Identifier: Apache-2.0

"""What a migration holds that Nova did not see through, given back.

Allocations, port bindings, claims, volumes and the server's task state; of
one whose guest has arrived, what it held here. Each step may be taken twice,
asks first whose the server is by now, and is taken even if another failed.
"""

from collections.abc import Callable
from collections.abc import Iterator
import functools

from nova.compute import manager as nova_manager
from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from nova import safe_utils
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute import present
from nova_throttle.compute.source import allocations
from nova_throttle.compute.source import belongings
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import vacate
from nova_throttle.compute.source import volumes
from nova_throttle import lifecycle

LOG = logging.getLogger(__name__)

COMPLETED = 'completed'

Step = Callable[[], object]

# Without the decorators that add a fault at each attempt.
_rollback = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager._rollback_live_migration
)


def succeeds(migration: migration_lib.LiveMigration, step: Step) -> bool:
    """Take a step; one that fails is logged, and is to be taken again."""
    try:
        step()
    except Exception:
        LOG.warning(
            'A step of cleaning up after live migration %s failed and will '
            'be tried again',
            migration.uuid,
            instance=migration.instance,
            exc_info=True,
        )
        return False
    return True


class Rollback:
    """One attempt to give back all that a migration holds.

    :param manager: the compute manager of the source host.
    :param migration: what has to leave.
    :param status: the final status of its record.
    :param state_of: how far this host has come with a migration.
    """

    def __init__(
        self,
        manager: border.Manager,
        migration: migration_lib.LiveMigration,
        status: str,
        state_of: present.StateOf,
    ) -> None:
        self._manager = manager
        self._migration = migration
        self._status = status
        self._state_of = state_of

    def attempt(self) -> bool:
        """Take all steps, whatever fails.

        :returns: whether all is given back.
        """
        migration = self._migration
        try:
            standing = self._ask()
        except Exception as error:
            LOG.warning(
                'Live migration %(uuid)s cannot be cleaned up now: %(error)s',
                {'uuid': migration.uuid, 'error': error},
                instance=migration.instance,
            )
            return False
        given_back = [
            succeeds(migration, step) for step in self._steps(standing)
        ]
        # Last, and only then: until then it can be seen that all is not done.
        return all(given_back) and succeeds(migration, self._close)

    @property
    def _completed(self) -> bool:
        return self._status == COMPLETED

    def _ask(self) -> present.Standing:
        """Read again whose the server is: what is known is old."""
        return present.read(
            self._migration.context, self._migration.record, self._state_of
        ).decided()

    def _steps(self, standing: present.Standing) -> Iterator[Step]:
        migration, manager = self._migration, self._manager
        if self._completed and standing.instance is not None:
            yield lambda: allocations.keep(
                manager,
                migration.context,
                standing.instance,
                migration.record,
            )
        if not self._completed and standing.is_ours:
            for step in self._steps_of_a_server_that_stays(standing):
                yield functools.partial(self._while_ours, step)
            return
        if migration.may_be_prepared and not self._completed:
            yield self._leave_preparation
        yield from belongings.steps(
            manager,
            migration.context,
            migration.record,
            migration.requested_data,
            self._ask,
        )

    def _leave_preparation(self) -> None:
        """Undo what was prepared for a server that is not here any more."""
        migration, manager = self._migration, self._manager
        vacate.detach(manager, migration, self._ask)
        belongings.undo(manager, migration, self._ask())

    def _while_ours(self, step: Step) -> None:
        """Take a step that changes the server, if that may still be done."""
        standing = self._ask()
        if not standing.is_ours:
            raise standing.reason
        step()

    def _steps_of_a_server_that_stays(
        self, standing: present.Standing
    ) -> Iterator[Step]:
        migration, manager = self._migration, self._manager
        if migration.may_be_prepared:
            yield lambda: self._undo_preparation(standing.instance)
        yield lambda: allocations.revert(manager, migration, standing.instance)
        if migration.destination:
            # Deletes the inactive port bindings of the destination.
            yield lambda: manager.network_api.setup_networks_on_host(
                migration.context,
                standing.instance,
                host=migration.destination,
                teardown=True,
            )
        if _has_claim(migration.requested_data):
            yield self._drop_claim

    def _undo_preparation(self, instance: border.Instance) -> None:
        """Have Nova undo what the destination prepared."""
        migration = self._migration
        volumes.settle(self._manager, migration)
        present.make_migrating(instance)
        migration.migrate_data.migration = migration.record
        _rollback(
            self._manager,
            migration.context,
            migration.instance,
            migration.destination,
            migration.migrate_data,
            self._status,
            source_bdms=migration.source_bdms,
        )
        volumes.check_returned(migration)
        migration.undone()

    def _drop_claim(self) -> None:
        migration = self._migration
        # A service that is down forgets its claims: it rebuilds them, at its
        # start, from the records of migrations that are not over.
        state = checks.service_state(migration.context, migration.destination)
        if state not in ('down', 'deleted'):
            self._manager.compute_rpcapi.drop_move_claim_at_destination(
                migration.context, migration.instance, migration.destination
            )

    def _close(self) -> None:
        """Put the server to rest, give the record its end, and be over."""
        standing = self._ask()
        if standing.is_ours and not self._completed:
            _put_to_rest(standing.instance)
        self._close_record()
        self._migration.become(lifecycle.State.OVER)

    def _close_record(self) -> None:
        """Give the record its final status, unless it has one.

        What completed did so whatever the record says.
        """
        migration, status = self._migration, self._status
        try:
            migration.record = objects.Migration.get_by_uuid(
                migration.context, migration.uuid
            )
        except nova_exception.MigrationNotFound:
            return
        found = migration.record.status
        if found != status and (
            found not in compat.FINAL_STATUSES or self._completed
        ):
            migration.record.status = status
            migration.record.save()


def _has_claim(migrate_data: border.MigrateData) -> bool:
    # Set by the source's check only if the destination claimed.
    name = 'src_supports_numa_live_migration'
    return bool(
        migrate_data is not None
        and name in migrate_data
        and getattr(migrate_data, name)
    )


def _put_to_rest(instance: border.Instance) -> None:
    """Make a server ACTIVE on its host again."""
    if instance.task_state != task_states.MIGRATING:
        return
    instance.task_state = None
    instance.progress = 0
    instance.drop_migration_context()
    try:
        instance.save(expected_task_state=[task_states.MIGRATING])
    except nova_exception.InstanceNotFound:
        LOG.debug('The instance was deleted', instance=instance)
