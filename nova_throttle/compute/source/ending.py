# SPDX-License-Identifier: Apache-2.0

"""What a callback of the driver leads to, by what is true of the guest.

A driver tells that a migration has completed, or that it has to be rolled
back. It is believed where that is safe; otherwise the guest is looked for
first. Nova's own methods then do the work. What has arrived is in the journal
before anything else is done, and finished until it is done.
"""

from collections.abc import Callable
from typing import Any

from nova.compute import manager as nova_manager
from nova import objects
from nova import safe_utils
from oslo_log import log as logging
import oslo_messaging

from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute.source import arrival
from nova_throttle.compute.source import cleanup as cleanup_lib
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import succession
from nova_throttle.compute.source import volumes
from nova_throttle import exception
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle
from nova_throttle.outcome import verdict as verdict_lib

LOG = logging.getLogger(__name__)

Verdict = verdict_lib.Verdict
State = lifecycle.State

# Without the decorators that add a fault at each attempt.
_post = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager._post_live_migration
)


class Ending:
    """Ends the live migrations of one host that were in the driver.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param journal: where they are kept.
    :param cleanup: takes those out that Nova cannot see through.
    :param succession: tells which migration has a server.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        cleanup: cleanup_lib.Cleanup,
        succession: succession.Succession,
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._journal = journal
        self._cleanup = cleanup
        self._succession = succession
        # The servers of what is finished again.
        self._finishing: set[str] = set()

    def is_ours(self, instance: border.Instance) -> bool:
        """Tell whether a server is in a migration of ours."""
        return (
            instance.uuid in self._finishing
            or self._migrations.of_instance(instance.uuid) is not None
        )

    def migration_of(
        self, instance: border.Instance, migrate_data: border.MigrateData
    ) -> migration_lib.LiveMigration | None:
        """Return the migration that a callback of the driver is about.

        :param migrate_data: names the migration, unless it is of old.
        """
        uuid = present.migration_uuid(migrate_data)
        if uuid is None:
            return self._migrations.of_instance(instance.uuid)
        return self._migrations.of_migration(uuid)

    def end(
        self,
        migration: migration_lib.LiveMigration | None,
        believed: Verdict,
        complete: Callable[[], Any],
        roll_back: Callable[[], Any],
        status: str = 'failed',
    ) -> Any:
        """End a migration, whatever the driver takes for true.

        :param migration: None if the migration is not one of ours.
        :param believed: what the driver takes for true.
        :param complete: does what Nova does if the guest has arrived.
        :param roll_back: does what Nova does if it has not.
        :param status: the final status of one that is rolled back.
        """
        if migration is None:
            return complete() if believed is Verdict.ARRIVED else roll_back()
        with migration.hold.callback():
            verdict = self._where(migration, believed)
            if verdict is Verdict.ARRIVED:
                return self._complete(migration, complete)
            if verdict is Verdict.STAYED:
                if believed is not verdict:
                    migration.error = exception.NotArrived(
                        host=migration.destination
                    )
                return self._roll_back(migration, roll_back, status)
            # Another operation has moved or deleted the server.
            taken = exception.InstanceTaken(host=self._manager.host)
            return self._give_up(migration, 'error', taken)

    def _where(
        self, migration: migration_lib.LiveMigration, believed: Verdict
    ) -> Verdict:
        """Tell where the guest is; nobody knows while it is in the driver."""
        if migration.state is not State.TRANSFERRING:
            return believed
        has_migrated = getattr(self._manager.driver, 'has_migrated', None)
        succeeded = has_migrated(migration.instance) if has_migrated else None
        return verdict_lib.believe(believed, succeeded) or arrival.wait(
            self._manager,
            migration.context,
            migration.instance,
            migration.destination,
        )

    def _complete(
        self,
        migration: migration_lib.LiveMigration,
        complete: Callable[[], Any],
    ) -> Any:
        """Finish what has arrived; what fails is tried again by recovery."""
        self.note_arrival(migration)
        result = None
        try:
            result = complete()
        except Exception as error:
            self._note_problem(migration, error)
        if migration.problem is None:
            migration.become(State.OVER)
        return result

    def note_arrival(self, migration: migration_lib.LiveMigration) -> None:
        """Note, before anything else is done, that a guest has arrived."""
        migration.become(State.ARRIVED)
        try:
            self._journal.put(
                entries.entry_of(migration, reason=migration.problem)
            )
        except Exception:
            # A restart finds out where the guest is, as far as that can be.
            LOG.exception('Cannot note that %s has arrived', migration)

    def finish_arrival(
        self,
        instance: border.Instance,
        migrate_data: border.MigrateData,
        finish: Callable[[], Any],
    ) -> Any:
        """Do what Nova does once a guest of this host has arrived.

        For a migration of ours nothing is raised: Nova would give the server
        to its destination, which may know nothing of it.

        :param finish: Nova's own method.
        """
        migration = self.migration_of(instance, migrate_data)
        if migration is None:
            return finish()
        try:
            result = finish()
            self._check_taken(migration)
        except Exception as error:
            self._note_problem(migration, error)
            return None
        return result

    def _note_problem(
        self, migration: migration_lib.LiveMigration, error: Exception
    ) -> None:
        LOG.warning(
            'The guest of live migration %(uuid)s has arrived on %(dest)s; '
            'what is left to do has failed, and is tried until it succeeds: '
            '%(error)s',
            {
                'uuid': migration.uuid,
                'dest': migration.destination,
                'error': error,
            },
            instance=migration.instance,
            exc_info=not isinstance(error, exception.ThrottleError),
        )
        self._keep_problem(migration, error)

    def _keep_problem(
        self, migration: migration_lib.LiveMigration, error: Exception
    ) -> None:
        # One from another host has its traceback in the lines below.
        line = str(error).partition('\n')[0]
        migration.problem = line or type(error).__name__
        self.note_arrival(migration)

    def finish_again(self, migration: migration_lib.LiveMigration) -> None:
        """Do again what Nova does once a guest has arrived.

        Called only while the server is this migration's, or at rest on its
        destination.

        :raises Exception: what fails of it.
        """
        self._finishing.add(migration.instance.uuid)
        try:
            self._finish(migration)
        except Exception as error:
            self._keep_problem(migration, error)
            self._have_taken_over(migration)
            raise
        finally:
            self._finishing.discard(migration.instance.uuid)

    def _have_taken_over(self, migration: migration_lib.LiveMigration) -> None:
        """Let the destination have the server before all is done here.

        Nova tells it last, after all that can fail on this host.
        """
        try:
            if self._is_taken(migration):
                return
            present.read_ports(self._manager, migration.instance)
            self._manager.network_api.migrate_instance_start(
                migration.context, migration.instance, migration.record
            )
            self._manager.compute_rpcapi.post_live_migration_at_destination(
                migration.context,
                migration.instance,
                migration.block_migration,
                migration.destination,
            )
        except Exception as error:
            LOG.warning(
                '%(dest)s does not take the server over yet: %(error)s',
                {'dest': migration.destination, 'error': error},
                instance=migration.instance,
            )
            return
        LOG.warning(
            '%(dest)s has taken the server over before all was done here',
            {'dest': migration.destination},
            instance=migration.instance,
        )

    def _finish(self, migration: migration_lib.LiveMigration) -> None:
        """Have Nova finish; each of its steps may be taken twice."""
        instance = migration.instance
        # As Nova's first message had it: it says where the server came from.
        instance.host = self._manager.host
        instance.obj_reset_changes(['host'])
        migration.migrate_data.migration = migration.record
        migration.source_bdms = volumes.still_at_source(
            self._manager, migration
        )
        present.read_ports(self._manager, instance)
        try:
            _post(
                self._manager,
                migration.context,
                migration.instance,
                migration.destination,
                migration.block_migration,
                migration.migrate_data,
                migration.source_bdms,
            )
        except oslo_messaging.RemoteError as error:
            # A plain Nova there has finished, and the server is at rest.
            if 'TaskState' not in str(error.exc_type):
                raise
        self._check_taken(migration)

    def _roll_back(
        self,
        migration: migration_lib.LiveMigration,
        roll_back: Callable[[], Any],
        status: str,
    ) -> Any:
        """Roll back, unless the server is another migration's by now."""
        try:
            standing = self._succession.standing(migration)
            if not standing.is_ours:
                raise standing.reason
            present.make_migrating(standing.instance)
            migration.become(State.ROLLING_BACK)
            result = roll_back()
            volumes.check_returned(migration)
        except Exception as error:
            return self._give_up(migration, status, error)
        migration.undone()
        migration.become(State.OVER)
        return result

    def _give_up(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        reason: Exception,
    ) -> None:
        """Leave to the cleanup what Nova cannot do, or did not manage."""
        migration.error = reason
        self._cleanup.begin(migration, status, reason)

    def _check_taken(self, migration: migration_lib.LiveMigration) -> None:
        """See that the destination has taken a server of ours over.

        Nova up to 29 goes on if it has not: the server would stay on its
        source, and MIGRATING, for ever.

        :raises ArrivalNotTaken: if it has not.
        """
        if not self._is_taken(migration):
            raise exception.ArrivalNotTaken(host=migration.destination)

    def _is_taken(self, migration: migration_lib.LiveMigration) -> bool:
        found = objects.Instance.get_by_uuid(
            migration.context, migration.instance.uuid
        )
        return bool(found.host != self._manager.host)


def is_away(error: BaseException) -> bool:
    """Tell whether the control plane failed, and not what it was asked for.

    Nova hands an error of the database on from the conductor by its name.
    """
    if isinstance(error, oslo_messaging.RemoteError):
        return str(error.exc_type).startswith('DB')
    return isinstance(error, oslo_messaging.MessagingException)
