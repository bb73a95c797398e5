# SPDX-License-Identifier: Apache-2.0

"""What becomes of a migration that somebody else began, by its state.

That was the nova-compute before a restart, or this one, which could not find
out how the migration ended or could not finish it.
"""

from nova.compute import manager as nova_manager
from nova.compute import task_states
import nova.conf
from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import request as request_lib
from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import compat
from nova_throttle.compute import gates
from nova_throttle.compute.source import arrival
from nova_throttle.compute.source import credentials
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import event
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import stored
from nova_throttle.compute.source import undo_preparation
from nova_throttle.compute.source import vacate
from nova_throttle.compute.source import volumes
from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.objects import entry as entry_obj
from nova_throttle.outcome import course

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

Course = course.Course
State = lifecycle.State


class Resumption:
    """Goes on with the migrations that are in the journal.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._parts = parts
        self._manager = parts.manager

    def resume(self, entry: entry_obj.JournalEntry) -> None:
        """Go on with one.

        :raises Exception: if that is not possible now.
        """
        migration = self._migration(entry)
        if migration.state is State.QUEUED:
            self._restore(entry, migration)
            return
        _make_usable(migration)
        if entry.prepared and migration.state is State.ARRIVED:
            # Read by who finishes it: the volume service may be away.
            migration.source_bdms = ()
        elif entry.prepared:
            migration.source_bdms = volumes.at_source(self._manager, migration)
        if entry.status:
            # A failure is the cleanup's to try again, from now on.
            self._parts.cleanup.attempt(migration, entry.status)
            # How it ended was told before, but for what could not be.
            migration.event, migration.has_fault = None, True
            self._parts.completion.tell(migration)
            return
        self._resume_in_hand(entry, migration)

    def _migration(
        self, entry: entry_obj.JournalEntry
    ) -> migration_lib.LiveMigration:
        """Make a migration of an entry, whatever has become of its server."""
        context = entries.context_of(entry)
        migration = self._parts.make_migration(
            context,
            entry.destination,
            stored.instance(context, entry.instance_uuid),
            entry.block_migration,
            stored.migration(context, self._manager.host, entry),
            None,
            priority=entry.priority,
            held=entry.held,
            state=State(entry.state),
        )
        migration.accepted_at = entry.accepted_at
        migration.carried_over = True
        migration.problem = entry.reason
        entries.restore(entry, migration)
        event.resume(self._manager.host, migration)
        migration.announce()
        return migration

    def _restore(
        self,
        entry: entry_obj.JournalEntry,
        migration: migration_lib.LiveMigration,
    ) -> None:
        """Put what was queued back into the queue, or take it out."""
        newer = self._parts.migrations.of_instance(entry.instance_uuid)
        error: Exception
        if CONF.nova_throttle.on_restart == 'cancel':
            error = exception.CancelledByRestart()
            self._parts.completion.take_out(migration, 'cancelled', error)
        elif newer is not None:
            error = exception.Superseded(
                instance_uuid=entry.instance_uuid, migration_uuid=newer.uuid
            )
            self._parts.completion.take_out(migration, 'cancelled', error)
        elif migration.record.status in compat.FINAL_STATUSES:
            error = exception.MigrationNotQueued(
                migration_uuid=migration.uuid, status=migration.record.status
            )
            self._parts.completion.take_out(migration, 'error', error)
        else:
            self._queue_again(entry, migration)

    def _queue_again(
        self,
        entry: entry_obj.JournalEntry,
        migration: migration_lib.LiveMigration,
    ) -> None:
        LOG.info(
            'Live migration %s goes on from the queue after a restart',
            migration.uuid,
            instance=migration.instance,
        )
        entries.restore_pci_requests(entry, migration)
        self._parts.intake.retake(migration)

    def _resume_in_hand(
        self,
        entry: entry_obj.JournalEntry,
        migration: migration_lib.LiveMigration,
    ) -> None:
        standing = self._parts.succession.standing(migration)
        todo = course.of(migration.state, standing, migration.destination)
        if todo in (Course.FINISH, Course.CLOSE):
            self._finish(migration, todo)
        elif todo is Course.END:
            self._end(migration, 'error', standing.reason)
        elif todo is Course.LOOK:
            self._resume_transferring(migration)
        else:
            self._resume_preparing(entry, migration)

    def _resume_preparing(
        self,
        entry: entry_obj.JournalEntry,
        migration: migration_lib.LiveMigration,
    ) -> None:
        """Undo what was prepared; then back to the queue, or out of it."""
        if CONF.nova_throttle.on_restart == 'cancel':
            self._end(migration, 'cancelled', exception.CancelledByRestart())
        elif self._is_stale(migration) or not self._undo_preparation(
            migration
        ):
            self._end(
                migration, 'error', exception.Interrupted(was='prepared')
            )
        else:
            migration.become(State.QUEUED)
            self._queue_again(entry, migration)

    def _is_stale(self, migration: migration_lib.LiveMigration) -> bool:
        instance = migration.instance
        return (
            'host' not in instance
            or instance.host != self._manager.host
            or instance.task_state != task_states.MIGRATING
            or migration.record.status in compat.FINAL_STATUSES
        )

    def _undo_preparation(
        self, migration: migration_lib.LiveMigration
    ) -> bool:
        if not migration.may_be_prepared:
            return True
        if undo_preparation.undo(self._manager, migration):
            migration.undone()
            return True
        return False

    def _resume_transferring(
        self, migration: migration_lib.LiveMigration
    ) -> None:
        """Look at the hypervisor first: it goes on without nova-compute."""
        end = getattr(self._manager.driver, 'end_live_migration', None)
        if end is None:
            self._leave_to_nova(migration)
            return
        end(migration.instance)
        verdict = arrival.find(
            self._manager,
            migration.context,
            migration.instance,
            migration.destination,
        )
        if verdict is arrival.Verdict.ARRIVED:
            self._finish(migration, Course.FINISH)
        else:
            self._end(migration, 'error', exception.Interrupted(was='ran'))

    def _leave_to_nova(self, migration: migration_lib.LiveMigration) -> None:
        """Do what Nova does at its start: it can't ask this driver either."""
        nova_manager.ComputeManager._reset_live_migration(
            self._manager, migration.context, migration.instance
        )
        migration.error = exception.Interrupted(was='ran')
        self._parts.completion.tell(migration)
        migration.become(State.OVER)
        self._parts.journal.remove(migration.uuid)
        self._parts.throttle.finish(migration.uuid)

    def _finish(
        self, migration: migration_lib.LiveMigration, todo: Course
    ) -> None:
        """Finish what arrived; for one that moved on, give back only."""
        # It keeps no slot while that is tried.
        self._parts.throttle.finish(migration.uuid)
        if migration.state is not State.ARRIVED:
            self._parts.ending.note_arrival(migration)
        if todo is Course.FINISH:
            self._parts.ending.finish_again(migration)
        else:
            vacate.vacate(
                self._manager,
                migration,
                lambda: self._parts.succession.standing(migration),
            )
        self._close(migration)

    def _close(self, migration: migration_lib.LiveMigration) -> None:
        # With what Nova would have given back, had it seen the end.
        self._parts.cleanup.begin(
            migration,
            'completed',
            exception.ArrivedUnseen(host=migration.destination),
        )
        self._parts.completion.tell(migration)

    def _end(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        error: Exception,
    ) -> None:
        self._parts.completion.take_out(migration, status, error)
        self._parts.throttle.finish(migration.uuid)


def _make_usable(migration: migration_lib.LiveMigration) -> None:
    """Give the context of a migration what Nova's methods need of it."""
    context = migration.context
    if not objects.InstanceAction.get_by_request_id(
        context, migration.instance.uuid, context.request_id
    ):
        # Its action was purged. For a request of nobody's Nova takes the
        # newest action of the server; for somebody's it raises.
        context.user_id = context.project_id = None
    credentials.lend(context)


def request_of(entry: entry_obj.JournalEntry) -> request_lib.Request:
    """Make what the core knows of a migration that is in the journal."""
    return gates.make_request(
        entry.migration_uuid,
        entry.migration_id,
        entry.instance_uuid,
        entry.destination,
        entry.priority,
    )
