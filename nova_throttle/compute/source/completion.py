# SPDX-License-Identifier: Apache-2.0

"""From the end of a live migration to nothing held.

Its slots are given back once, when it is really over; all else follows
behind, so that the next need not wait for it.
"""

from collections.abc import Callable
import functools

from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute.source import cleanup as cleanup_lib
from nova_throttle.compute.source import ending
from nova_throttle.compute.source import event
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import succession as succession_lib
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import wait_events as wait_events_lib
from nova_throttle.compute import threads
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle

LOG = logging.getLogger(__name__)

State = lifecycle.State


class Completion:
    """Ends the live migrations of one host, whatever way they took.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param succession: tells which migration has a server.
    :param cleanup: gives back what Nova does not.
    :param wait_events: reports what they wait for.
    :param background: does what the next one need not wait for.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        succession: succession_lib.Succession,
        cleanup: cleanup_lib.Cleanup,
        wait_events: wait_events_lib.WaitEvents,
        background: threads.BackgroundWorker,
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._journal = journal
        self._throttle = throttle
        self._succession = succession
        self._cleanup = cleanup
        self._wait_events = wait_events
        self._background = background
        # By migration: what could not be told of how it ended.
        self._untold: dict[str, migration_lib.LiveMigration] = {}
        # Set by who can: deals with a migration as after a restart.
        self.recover: Callable[[str], None] = lambda migration_uuid: None

    def finish(self, migration: migration_lib.LiveMigration) -> None:
        """Give the slots back; called once, when nothing keeps them."""
        if _is_undecided(migration):
            self._background.do(
                functools.partial(self._find_out_later, migration)
            )
            return
        self._throttle.finish(migration.uuid, migration.error)
        self._wait_events.refresh()
        self._background.do(functools.partial(self._file, migration))

    def _file(self, migration: migration_lib.LiveMigration) -> None:
        """Do what the next migration need not wait for."""
        known = self._cleanup.knows(migration.uuid)
        if migration.state is State.ARRIVED and not known:
            # It keeps no slot while the rest of it is tried again.
            self._hand_over(migration)
            return
        try:
            if migration.error and not self._has_its_end(migration):
                self._fail(migration)
            if migration.error and self._succession.is_deleted(migration):
                self._cleanup.begin(migration, 'error', migration.error)
        except Exception:
            LOG.exception(
                'Cannot record how live migration %s ended',
                migration.uuid,
                instance=migration.instance,
            )
            if not self._cleanup.knows(migration.uuid):
                self._find_out_later(migration)
                return
        self._close(migration)

    def _close(self, migration: migration_lib.LiveMigration) -> None:
        self.tell(migration)
        self._forget(migration)
        if not self._cleanup.knows(migration.uuid):
            migration.become(State.OVER)
            self._journal.remove(migration.uuid)
        self._end_task(migration)

    def tell(self, migration: migration_lib.LiveMigration) -> None:
        """Tell the user how a migration ended, now or later."""
        if not event.finish(migration):
            self._untold[migration.uuid] = migration

    def tell_again(self, context: border.Context) -> bool:
        """Tell what could not be told; return whether anything is left."""
        for uuid, migration in list(self._untold.items()):
            if event.finish(migration):
                del self._untold[uuid]
        return bool(self._untold)

    def _find_out_later(self, migration: migration_lib.LiveMigration) -> None:
        """Have it found out later, as after a restart, how one ended.

        It keeps the slots that it has.
        """
        LOG.warning(
            'The control plane was away when live migration %s ended: its '
            'end is looked for as after a restart',
            migration.uuid,
            instance=migration.instance,
        )
        self._hand_over(migration)

    def _hand_over(self, migration: migration_lib.LiveMigration) -> None:
        """Have recovery go on with one, from what is in the journal."""
        self._forget(migration)
        self._end_task(migration)
        self.recover(migration.uuid)

    def _end_task(self, migration: migration_lib.LiveMigration) -> None:
        failed = migration.record.status != 'completed'
        compat.record_task_end(self._manager, migration, failed=failed)

    def _has_its_end(self, migration: migration_lib.LiveMigration) -> bool:
        """Tell whether the record has its final status, or will get it."""
        return (
            migration.record.status in compat.FINAL_STATUSES
            or self._cleanup.knows(migration.uuid)
        )

    def _fail(self, migration: migration_lib.LiveMigration) -> None:
        """Do what Nova does for a driver that raised, if that failed."""
        self._manager._set_migration_status(migration.record, 'error')
        if not self._succession.standing(migration).is_ours:
            return
        migration.instance.refresh()
        self._manager._set_instance_obj_error_state(
            migration.instance, clean_task_state=True
        )

    def take_out(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        error: BaseException,
    ) -> None:
        """Take a migration out that does not run."""
        migration.error = error
        try:
            self._cleanup.begin(migration, status, error)
        finally:
            self._forget(migration)
            self.tell(migration)

    def _forget(self, migration: migration_lib.LiveMigration) -> None:
        self._migrations.remove(migration)
        tickets.withdraw(self._manager, migration, migration.request.ticket)

    def find_lost_owners(self, context: border.Context) -> None:
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
                migration.record = found
                migration.become(State.OVER)
                migration.hold.expect_nothing()


def _is_undecided(migration: migration_lib.LiveMigration) -> bool:
    """Tell whether nobody could say how a migration ended in the driver."""
    return (
        migration.state is State.TRANSFERRING
        and migration.error is not None
        and ending.is_away(migration.error)
    )
