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

"""What a callback of the driver leads to, by what is true of the guest.

A driver tells that a migration has completed, or that it has to be rolled
back. It is believed where that is safe; otherwise the guest is looked for
first. Nova's own methods then do the work, or the leaver if they cannot.
"""

from collections.abc import Callable
from typing import Any

from nova.compute import task_states
from nova import objects
from oslo_log import log as logging
import oslo_messaging

from nova_throttle.compute import present
from nova_throttle.compute.source import arrival
from nova_throttle.compute.source import cleanup
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import succession
from nova_throttle import exception

LOG = logging.getLogger(__name__)

Verdict = arrival.Verdict


class Ending:
    """Ends the live migrations of one host that were in the driver.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param leaver: what takes those out that Nova cannot see through.
    :param succession: tells which migration has a server.
    """

    def __init__(
        self,
        manager: Any,
        migrations: registry.Registry,
        leaver: cleanup.Leaver,
        succession: succession.Succession,
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._leaver = leaver
        self._succession = succession
        # By server: those that completed while nobody looked.
        self._unseen: dict[str, migration_lib.LiveMigration] = {}

    def migration_of(
        self, instance: Any, migrate_data: Any
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
        with migration.callback():
            verdict = self._where(migration, believed)
            if verdict is Verdict.ARRIVED:
                return self._complete(migration, complete)
            if verdict is Verdict.STAYED:
                if believed is not verdict:
                    migration.error = exception.NotArrived(host=migration.dest)
                return self._roll_back(migration, roll_back, status)
            # Another operation has moved or deleted the server.
            taken = exception.InstanceTaken(host=self._manager.host)
            return self._give_up(migration, 'error', taken)

    def _where(
        self, migration: migration_lib.LiveMigration, believed: Verdict
    ) -> Verdict:
        """Tell where the guest is.

        The driver looks at what is left of the domain here, which says
        nothing if that was switched off; so only a success of libvirt's own
        call is enough.
        """
        if migration.phase is not migration_lib.Phase.IN_DRIVER:
            return believed
        has_migrated = getattr(self._manager.driver, 'has_migrated', None)
        succeeded = has_migrated(migration.instance) if has_migrated else None
        if succeeded is None:
            return believed
        if succeeded and believed is Verdict.ARRIVED:
            return believed
        return arrival.wait(
            self._manager,
            migration.context,
            migration.instance,
            migration.dest,
        )

    def _complete(
        self,
        migration: migration_lib.LiveMigration,
        complete: Callable[[], Any],
    ) -> Any:
        try:
            return complete()
        except Exception as error:
            try:
                finished = self._finish_for_nova(migration, error)
            except Exception as failure:
                finished, error = False, failure
            if not finished:
                migration.is_unended = is_away(error)
                raise error
            return None

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
        except Exception as error:
            return self._give_up(migration, status, error)
        return roll_back()

    def _give_up(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        reason: Exception,
    ) -> None:
        migration.is_left = True
        migration.error = reason
        self._leaver.leave(migration, status, reason)

    def _finish_for_nova(
        self, migration: migration_lib.LiveMigration, error: Exception
    ) -> bool:
        """Finish for Nova, which cannot, what it did after the guest arrived.

        The guest runs on its destination, whatever failed. Where no more
        than an answer is missing, the migration has completed; otherwise
        it ends as Nova ends it. What it held here is given back in both.

        :param error: what Nova's method raised, having put the server on
            its destination in the database.
        :returns: whether the migration has completed.
        """
        found = objects.Instance.get_by_uuid(
            migration.context, migration.instance.uuid
        )
        migration.has_arrived = found.host == migration.dest
        if not migration.has_arrived or not (
            migration.record.status == 'completed' or _is_silence(error)
        ):
            return False
        reason = exception.ArrivalNotConfirmed(
            host=migration.dest, error=error
        )
        self._leaver.leave(migration, 'completed', reason)
        return True

    def complete_unseen(self, migration: migration_lib.LiveMigration) -> None:
        """End a migration that completed while nobody looked."""
        uuid = migration.instance.uuid
        self._unseen[uuid] = migration
        try:
            self._manager._post_live_migration_update_host(
                migration.context,
                migration.instance,
                migration.dest,
                migration.block_migration,
                migration.migrate_data,
                source_bdms=migration.source_bdms,
            )
        finally:
            del self._unseen[uuid]

    def check_arrival(self, instance: Any, migrate_data: Any) -> None:
        """See that the destination has taken a server of ours over.

        Nova up to 29 goes on if it has not: the server would stay on its
        source, and MIGRATING, for ever.

        :raises ArrivalNotTaken: if it has not; then Nova puts the server on
            its destination in the database.
        """
        migration = self._unseen.get(instance.uuid) or self.migration_of(
            instance, migrate_data
        )
        if migration is None:
            return
        try:
            found = objects.Instance.get_by_uuid(
                migration.context, migration.instance.uuid
            )
        except Exception:
            LOG.warning(
                'Cannot tell whether %s has taken the server over',
                migration.dest,
                instance=migration.instance,
                exc_info=True,
            )
            return
        stays = found.host == self._manager.host
        if stays and found.task_state == task_states.MIGRATING:
            raise exception.ArrivalNotTaken(host=migration.dest)


def is_away(error: BaseException) -> bool:
    """Tell whether the control plane failed, and not what it was asked for.

    Nova hands an error of the database on from the conductor by its name.
    """
    if isinstance(error, oslo_messaging.RemoteError):
        return str(error.exc_type).startswith('DB')
    return isinstance(error, oslo_messaging.MessagingException)


def _is_silence(error: Exception) -> bool:
    """Tell whether a host did not answer, rather than that it failed."""
    silence = (oslo_messaging.MessagingException, exception.ArrivalNotTaken)
    return isinstance(error, silence) and not isinstance(
        error, oslo_messaging.RemoteError
    )
