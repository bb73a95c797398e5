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

"""From the end of a live migration to nothing held.

Its slots are given back once, when it is really over; all else follows
behind, so that the next need not wait for it.
"""

from collections.abc import Callable
import functools
from typing import Any

from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.compute import compat
from nova_throttle.compute import present
from nova_throttle.compute.source import cleanup
from nova_throttle.compute.source import event
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import succession as succession_lib
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import wait_events as reasons_lib
from nova_throttle.compute import threads
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)


class Completion:
    """Ends the live migrations of one host, whatever way they took.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param succession: tells which migration has a server.
    :param leaver: gives back what Nova does not.
    :param reasons: reports what they wait for.
    :param clerk: does what the next one need not wait for.
    """

    def __init__(
        self,
        manager: Any,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        succession: succession_lib.Succession,
        leaver: cleanup.Leaver,
        reasons: reasons_lib.Reasons,
        clerk: threads.BackgroundWorker,
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._journal = journal
        self._throttle = throttle
        self._succession = succession
        self._leaver = leaver
        self._reasons = reasons
        self._clerk = clerk
        # Set by who can: deals with a migration as after a restart.
        self.recover: Callable[[str], None] = lambda migration_uuid: None
        # Told of each migration that leaves the registry.
        self.forgotten: Callable[[migration_lib.LiveMigration], None] = (
            lambda migration: None
        )

    def finish(self, migration: migration_lib.LiveMigration) -> None:
        """Give the slots back; called once, when the migration is over."""
        if migration.is_unended:
            self._clerk.do(functools.partial(self._look_again, migration))
            return
        self._throttle.finish(migration.record.uuid, migration.error)
        self._reasons.look()
        self._clerk.do(functools.partial(self._file, migration))

    def _file(self, migration: migration_lib.LiveMigration) -> None:
        """Do what the next migration need not wait for."""
        try:
            if migration.error and not self._is_settled(migration):
                self._fail(migration)
            if migration.error and (
                migration.has_arrived or self._succession.is_deleted(migration)
            ):
                self._leaver.leave(migration, 'error', migration.error)
        except Exception:
            LOG.exception(
                'Cannot record how live migration %s ended',
                migration.record.uuid,
                instance=migration.instance,
            )
            if not self._leaver.knows(migration.record.uuid):
                self._look_again(migration)
                return
        event.finish(migration)
        self._forget(migration)
        if not self._leaver.knows(migration.record.uuid):
            self._journal.remove(migration.record.uuid)
        self._end_task(migration)

    def _look_again(self, migration: migration_lib.LiveMigration) -> None:
        """Have it found out later, as after a restart, how a migration ended.

        It keeps the slots that it has.
        """
        LOG.warning(
            'The control plane was away when live migration %s ended: its '
            'end is looked for as after a restart',
            migration.record.uuid,
            instance=migration.instance,
        )
        self._forget(migration)
        self._end_task(migration)
        self.recover(migration.record.uuid)

    def _end_task(self, migration: migration_lib.LiveMigration) -> None:
        failed = migration.record.status != 'completed'
        compat.record_task_end(self._manager, migration, failed=failed)

    def _is_settled(self, migration: migration_lib.LiveMigration) -> bool:
        """Tell whether the record has its end, or will get it."""
        return (
            migration.record.status in compat.FINAL_STATUSES
            or self._leaver.knows(migration.record.uuid)
        )

    def _fail(self, migration: migration_lib.LiveMigration) -> None:
        """Do what Nova does when it is too late to roll back.

        Nova does it itself for a driver that raises; this is for a late
        callback, whose error no code of Nova's sees.
        """
        self._manager._set_migration_status(migration.record, 'error')
        if not self._has_its_server(migration):
            return
        migration.instance.refresh()
        self._manager._set_instance_obj_error_state(
            migration.instance, clean_task_state=True
        )

    def _has_its_server(self, migration: migration_lib.LiveMigration) -> bool:
        """Tell whether a server is a migration's, wherever it is by now."""
        standing = self._succession.standing(migration)
        moved = standing.state is present.State.MOVED
        return standing.is_ours or (
            migration.has_arrived
            and moved
            and standing.instance.host == migration.dest
        )

    def leave(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        error: BaseException,
    ) -> None:
        """Take a migration out that does not run."""
        migration.error = error
        try:
            self._leaver.leave(migration, status, error)
        finally:
            self._forget(migration)
            event.finish(migration)

    def _forget(self, migration: migration_lib.LiveMigration) -> None:
        self._migrations.remove(migration)
        self.forgotten(migration)
        tickets.take_back(self._manager, migration, migration.request.ticket)

    def find_lost_owners(self, context: Any) -> None:
        """Free slots whose driver never said that it was done."""
        for migration in self._migrations.awaiting_callback():
            found = objects.Migration.get_by_uuid(
                context, migration.record.uuid
            )
            if found.status in compat.FINAL_STATUSES:
                LOG.warning(
                    'The driver never reported the end of live migration '
                    '%(uuid)s, which is %(status)s: its slot is freed',
                    {'uuid': found.uuid, 'status': found.status},
                    instance=migration.instance,
                )
                migration.found_over(found)
