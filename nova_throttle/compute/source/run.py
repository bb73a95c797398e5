# SPDX-License-Identifier: Apache-2.0

"""From admission to the driver.

A request that a fault keeps from being prepared goes back to the queue; what
was prepared for one that cannot go on is undone.
"""

from collections.abc import Callable

from nova import exception as nova_exception
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.admission import effects
from nova_throttle.admission import request as request_lib
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import cleanup as cleanup_lib
from nova_throttle.compute.source import credentials
from nova_throttle.compute.source import deferral as deferral_lib
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import precheck as precheck_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import secret
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import undo_preparation
from nova_throttle.compute.source import volumes
from nova_throttle.compute.source import wait_events as wait_events_lib
from nova_throttle.compute import threads
from nova_throttle import exception
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle

LOG = logging.getLogger(__name__)

State = lifecycle.State

_ON_ITS_WAY = (State.QUEUED, State.PREPARING, State.PREPARED)


class Run:
    """Runs the admitted live migrations of one host.

    :param manager: the compute manager of this host, whose own method does
        the work.
    :param migrations: its live migrations.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param precheck: what is known of those that waited.
    :param deferral: what has met a fault that may pass.
    :param cleanup: undoes what was prepared.
    :param wait_events: reports what they wait for.
    :param take_out: takes a migration out for good: with it, the final
        status and the reason.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        precheck: precheck_lib.Precheck,
        deferral: deferral_lib.Deferral,
        cleanup: cleanup_lib.Cleanup,
        wait_events: wait_events_lib.WaitEvents,
        take_out: Callable[
            [migration_lib.LiveMigration, str, BaseException], None
        ],
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._journal = journal
        self._throttle = throttle
        self._precheck = precheck
        self._deferral = deferral
        self._cleanup = cleanup
        self._wait_events = wait_events
        self._take_out = take_out
        self._workers = threads.Workers(self._migrate)

    def start(self, grant: effects.Grant) -> None:
        """Start an admitted request; called by the controller."""
        request = grant.request
        migration = self._migrations.of_migration(request.migration_uuid)
        assert migration is not None  # it leaves the table after the throttle
        self._deferral.begin(migration)
        migration.task_key = compat.record_task_start(self._manager, migration)
        try:
            self._workers.start(migration)
        except Exception as error:
            compat.record_task_end(self._manager, migration, failed=True)
            self._take_out(migration, 'error', error)
            raise

    def _migrate(self, migration: migration_lib.LiveMigration) -> None:
        """Do an admitted live migration, on a thread of its own."""
        error = self._attempt(migration)
        try:
            if error is not None and self._waits_again(migration, error):
                return
        except exception.MigrationAborted as aborted:
            error = aborted
        try:
            if error is not None:
                self._back_out(migration, error)
        finally:
            with self._workers.ending():
                if error is not None:
                    migration.error = error
                migration.hold.end_work(error is not None)

    def _attempt(
        self, migration: migration_lib.LiveMigration
    ) -> BaseException | None:
        try:
            migration.enter(State.PREPARING)
            self._check(migration)
            self._precheck.look_ahead()
            self._manager._do_live_migration(*migration.arguments)
        except BaseException as error:
            return error
        return None

    def _waits_again(
        self, migration: migration_lib.LiveMigration, error: BaseException
    ) -> bool:
        """Have a migration wait again that could not go on, if it may.

        :raises MigrationAborted: if an abort came before.
        """
        if isinstance(error, exception.StoppedBeforeTransfer):
            if not self._undo_preparation(migration):
                self._leave_to_restart(migration)
                return True
        elif isinstance(error, exception.DestinationStops):
            if not self._undo_preparation(migration):
                return False
        elif not self._may_wait(migration, error):
            return False
        with self._workers.ending():
            self._put_back(migration)
        return True

    def _undo_preparation(
        self, migration: migration_lib.LiveMigration
    ) -> bool:
        """Undo what is prepared, of one that waits again.

        :returns: whether that is done.
        """
        # It is to be prepared again: without what the destination added.
        migration.migrate_data = migration.requested_data
        try:
            done = undo_preparation.undo(self._manager, migration)
            if done:
                self._manager._set_migration_status(migration.record, 'queued')
        except Exception:
            LOG.warning(
                'What was prepared for live migration %s cannot be undone '
                'so that it waits again',
                migration.uuid,
                instance=migration.instance,
                exc_info=True,
            )
            return False
        if done:
            migration.undone()
        return done

    def _leave_to_restart(
        self, migration: migration_lib.LiveMigration
    ) -> None:
        """Let the next nova-compute go on with one, from the journal.

        :raises MigrationAborted: if an abort came before; one that comes
            later is refused.
        """
        migration.enter(State.OVER)
        self._migrations.remove(migration)
        compat.record_task_end(self._manager, migration, failed=False)

    def _may_wait(
        self, migration: migration_lib.LiveMigration, error: BaseException
    ) -> bool:
        """Tell whether a migration that failed may go back to the queue."""
        nothing_is_prepared = (
            migration.state is State.PREPARING
            and migration.source_bdms is None
        )
        return nothing_is_prepared and self._deferral.defer(migration, error)

    def _put_back(self, migration: migration_lib.LiveMigration) -> None:
        """Have an admitted migration wait again of which nothing is prepared.

        :raises MigrationAborted: if an abort came before.
        """
        try:
            self._journal.put(entries.entry_of(migration, State.QUEUED))
        except Exception:
            # The entry that is there leads to the same after a restart.
            LOG.exception('Cannot note that %s is queued again', migration)
        request = request_lib.renewed(migration.request)
        if not self._throttle.closed:
            # Nova's stop cancels what is in there.
            tickets.publish(self._manager, migration, request.ticket)
        compat.record_task_end(self._manager, migration, failed=False)
        migration.task_key = None
        migration.put_back(request)
        self._throttle.resubmit(request, self._deferral.reason(migration))
        if self._deferral.reason(migration) is None:
            # It became due meanwhile.
            self._throttle.defer(request.migration_uuid, None)
        self._deferral.defer_others(migration)
        self._wait_events.refresh()

    def _back_out(
        self, migration: migration_lib.LiveMigration, error: BaseException
    ) -> None:
        if isinstance(error, exception.MigrationAborted):
            self._undo(migration, 'cancelled', error)
            self._manager._notify_live_migrate_abort_end(
                migration.context, migration.instance
            )
            return
        LOG.error(
            'Live migration failed: %s',
            error,
            instance=migration.instance,
            # A refusal of ours says all in its line.
            exc_info=not isinstance(error, exception.ThrottleError) and error,
        )
        self._undo(migration, 'error', error)

    def _undo(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        error: BaseException,
    ) -> None:
        """Roll back what did not reach the driver, unless Nova has done it."""
        if migration.state in _ON_ITS_WAY:
            # Not a byte of it has moved, or will.
            self._throttle.leave(migration.uuid)
            self._cleanup.begin(migration, status, error)

    def _check(self, migration: migration_lib.LiveMigration) -> None:
        """See that a migration may start, and has what it needs.

        :raises ThrottleError: if not, or nobody can tell.
        """
        try:
            self._check_now(migration)
        except (exception.ThrottleError, nova_exception.NotFound):
            raise
        except Exception as error:
            raise exception.NotChecked(error=error) from error

    def _check_now(self, migration: migration_lib.LiveMigration) -> None:
        self._journal.put(entries.entry_of(migration))
        if migration.is_new:
            checks.check_guest(self._manager, migration)
            return
        self._precheck.settle(migration)
        if migration.carried_over:
            credentials.lend(migration.context)
            secret.read_again(self._manager, migration)
        # Nova's table has the record that the migration had before.
        if tickets.is_published(self._manager, migration):
            tickets.publish(self._manager, migration, migration.request.ticket)

    def prepare(
        self,
        migration: migration_lib.LiveMigration,
        source_bdms: border.BlockDevices,
    ) -> None:
        """Note that the destination is asked to prepare now."""
        migration.enter(State.PREPARING)
        migration.source_bdms = source_bdms
        migration.attachments = volumes.attachments(source_bdms)
        self._journal.put(entries.entry_of(migration))

    def note_running(self, migration: migration_lib.LiveMigration) -> None:
        """Note, before Nova does, that the driver is entered soon.

        :raises GuestNotRunning: if there is nothing to migrate any more.
        """
        checks.check_guest(self._manager, migration)
        self._journal.put(entries.entry_of(migration, State.TRANSFERRING))

    def drive(self, migration: migration_lib.LiveMigration) -> None:
        """Note that the driver is entered now."""
        migration.drive()
