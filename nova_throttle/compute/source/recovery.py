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

"""What the last nova-compute of this host left is found and carried on.

Nothing here blocks or fails the start of the service: it runs beside it and
is tried again until it is done. What was in progress keeps its slots until
it is known to be over.
"""

import contextlib
import threading
from typing import Any

from nova.compute import manager as nova_manager
from nova.compute import task_states
import nova.conf
from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import compat
from nova_throttle.compute import senders
from nova_throttle.compute.source import arrival
from nova_throttle.compute.source import credentials
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import event
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import stored
from nova_throttle.compute.source import undo_preparation
from nova_throttle import exception

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

Standstill = standstill.Standstill

# What a migration is that somebody will begin, or has begun to prepare.
_LEFT_OVER = ('queued', 'preparing')


class Recovery:
    """Carries on with what the journal holds, and mends what it lacks.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._parts = parts
        self._manager = parts.manager
        self._entries: list[Any] = []
        # Two that carry on would each deal with the same entry.
        self._carrying = threading.Lock()
        # Each by itself: one whose hypervisor hangs holds its own slot only.
        self._interrupted = senders.Postman('interrupted', self._resume_one)
        parts.completion.recover = self.recover

    def begin(self) -> None:
        """Take what was in progress as owners, before anything starts."""
        for reason in (Standstill.STARTING, Standstill.COUNTING):
            self._parts.throttle.halt(reason)
        # A manager that was stopped may start again.
        self._parts.throttle.resume(Standstill.STOPPING)
        known = self._parts.migrations.of_migration
        self._entries = [
            entry
            for entry in self._parts.journal.entries()
            if known(entry.migration_uuid) is None
        ]
        for entry in self._entries:
            if entry.phase in ('preparing', 'running'):
                self._parts.throttle.adopt(_request(entry))
                self._parts.succession.begin(entry)

    def open_if_nothing_is_left(self) -> None:
        """Let requests start at once where there is no queue to restore."""
        if not self._entries:
            self._parts.throttle.resume(Standstill.STARTING)

    def will_deal_with(self, instance_uuid: str) -> bool:
        """Tell whether an instance in migration is ours to mend."""
        return any(e.instance_uuid == instance_uuid for e in self._entries)

    def carry_on(self) -> None:
        """Restore the queue, then have dealt with what was interrupted.

        What fails is tried again when this is called again.
        """
        with self._carrying:
            queued = [e for e in self._entries if e.phase == 'queued']
            # Backwards, each before the one that stood behind it.
            for entry in reversed(queued):
                self._try(self._restore, entry)
            # Also if one failed: it must not keep the others waiting.
            self._parts.throttle.resume(Standstill.STARTING)
        for entry in reversed(self._entries[:]):
            if entry.phase != 'queued':
                self._interrupted.post(entry.migration_uuid)

    def recover(self, migration_uuid: str) -> None:
        """Deal with one of this service as if it had been restarted."""
        entry = self._parts.journal.get(migration_uuid)
        if entry is not None:
            self._parts.succession.begin(entry)
            self._entries.append(entry)
            self._interrupted.post(migration_uuid)

    def _resume_one(self, migration_uuid: str) -> bool:
        for entry in self._entries[:]:
            if entry.migration_uuid == migration_uuid:
                return self._try(self._resume, entry)
        return True

    def _try(self, deal: Any, entry: Any) -> bool:
        try:
            deal(entry)
        except Exception as error:
            LOG.warning(
                'Live migration %(uuid)s of before the restart cannot be '
                'dealt with now and will be tried again: %(error)s',
                {'uuid': entry.migration_uuid, 'error': error},
                instance_uuid=entry.instance_uuid,
                exc_info=not isinstance(error, exception.ThrottleError),
            )
            return False
        # It is out already if the manager was started again meanwhile.
        with contextlib.suppress(ValueError):
            self._entries.remove(entry)
        self._parts.succession.end(entry)
        return True

    def _migration(self, entry: Any) -> migration_lib.LiveMigration:
        """Make a migration of an entry, whatever has become of its server."""
        context = entries.context_of(entry)
        migration = self._parts.make_migration(
            context,
            entry.dest,
            stored.instance(context, entry.instance_uuid),
            entry.block_migration,
            stored.migration(context, self._manager.host, entry),
            None,
            priority=entry.priority,
        )
        migration.accepted_at = entry.accepted_at
        migration.carried_over = True
        entries.restore(entry, migration)
        event.resume(self._manager.host, migration)
        return migration

    def _restore(self, entry: Any) -> None:
        """Put what was queued back into the queue, or take it out."""
        migration = self._migration(entry)
        newer = self._parts.migrations.of_instance(entry.instance_uuid)
        if CONF.nova_throttle.on_restart == 'cancel':
            self._parts.completion.leave(
                migration, 'cancelled', exception.CancelledByRestart()
            )
        elif newer is not None:
            self._parts.completion.leave(
                migration,
                'cancelled',
                exception.Superseded(
                    instance_uuid=entry.instance_uuid,
                    migration_uuid=newer.record.uuid,
                ),
            )
        elif migration.record.status in compat.FINAL_STATUSES:
            self._parts.completion.leave(
                migration,
                'error',
                exception.MigrationNotQueued(
                    migration_uuid=migration.record.uuid,
                    status=migration.record.status,
                ),
            )
        else:
            self._go_on(entry, migration)

    def _go_on(
        self, entry: Any, migration: migration_lib.LiveMigration
    ) -> None:
        LOG.info(
            'Live migration %s goes on from the queue after a restart',
            migration.record.uuid,
            instance=migration.instance,
        )
        entries.restore_pci_requests(entry, migration)
        self._parts.intake.retake(migration)

    def _resume(self, entry: Any) -> None:
        """Deal with what was interrupted in one of the later phases."""
        migration = self._migration(entry)
        credentials.lend(migration.context)
        if entry.prepared:
            migration.source_bdms = entries.source_bdms_of(
                self._manager, migration.context, entry
            )
        if entry.phase == 'leaving':
            # A failure is the leaver's to try again, from now on.
            self._parts.leaver.attempt(migration, entry.status)
            return
        standing = self._parts.succession.standing(migration)
        if entry.phase == 'running' and standing.has_arrived(migration.dest):
            self._complete(migration)
        elif not standing.is_ours:
            self._end(migration, 'error', standing.reason)
        elif entry.phase == 'preparing':
            self._resume_preparing(entry, migration)
        else:
            self._resume_running(migration)

    def _resume_preparing(
        self, entry: Any, migration: migration_lib.LiveMigration
    ) -> None:
        """Undo what was prepared; then back to the queue, or out of it."""
        if CONF.nova_throttle.on_restart == 'cancel':
            self._end(migration, 'cancelled', exception.CancelledByRestart())
        elif self._is_stale(migration) or not self._unprepare(
            entry, migration
        ):
            self._end(
                migration, 'error', exception.Interrupted(phase='prepared')
            )
        else:
            self._go_on(entry, migration)

    def _is_stale(self, migration: migration_lib.LiveMigration) -> bool:
        instance = migration.instance
        return (
            'host' not in instance
            or instance.host != self._manager.host
            or instance.task_state != task_states.MIGRATING
            or migration.record.status in compat.FINAL_STATUSES
        )

    def _unprepare(
        self, entry: Any, migration: migration_lib.LiveMigration
    ) -> bool:
        if not entry.prepared:
            return True
        return undo_preparation.unprepare(self._manager, migration)

    def _resume_running(self, migration: migration_lib.LiveMigration) -> None:
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
            migration.dest,
        )
        if verdict is arrival.Verdict.ARRIVED:
            self._parts.ending.complete_unseen(migration)
            self._complete(migration)
        else:
            self._end(migration, 'error', exception.Interrupted(phase='ran'))

    def _leave_to_nova(self, migration: migration_lib.LiveMigration) -> None:
        """Do what Nova does at its start: it can't ask this driver either."""
        nova_manager.ComputeManager._reset_live_migration(
            self._manager, migration.context, migration.instance
        )
        migration.error = exception.Interrupted(phase='ran')
        event.finish(migration)
        self._parts.journal.remove(migration.record.uuid)
        self._parts.throttle.finish(migration.record.uuid)

    def _complete(self, migration: migration_lib.LiveMigration) -> None:
        """Close what completed: the server is on its destination."""
        # With what Nova would have given back, if the destination was down.
        self._parts.leaver.leave(
            migration,
            'completed',
            exception.ArrivedUnseen(host=migration.dest),
        )
        event.finish(migration)
        self._parts.throttle.finish(migration.record.uuid)

    def _end(
        self,
        migration: migration_lib.LiveMigration,
        status: str,
        error: Exception,
    ) -> None:
        self._parts.completion.leave(migration, status, error)
        self._parts.throttle.finish(migration.record.uuid)

    def find_leftovers(self, context: Any) -> None:
        """Take out what is in the database and in no journal."""
        if not self._parts.journal.durable:
            # Of one that was not read, nobody knows what it has.
            return
        found = objects.MigrationList.get_by_filters(
            context,
            {
                'source_compute': self._manager.host,
                'migration_type': 'live-migration',
                'status': list(_LEFT_OVER),
            },
        )
        for record in found:
            if self._is_unknown(record):
                # Read again: it may have ended since the list was made.
                self._repair(
                    context,
                    objects.Migration.get_by_uuid(context, record.uuid),
                )

    def _is_unknown(self, record: Any) -> bool:
        return (
            self._parts.journal.get(record.uuid) is None
            and self._parts.migrations.of_migration(record.uuid) is None
            and not self._parts.leaver.knows(record.uuid)
        )

    def _repair(self, context: Any, record: Any) -> None:
        if record.status not in _LEFT_OVER:
            return
        error = exception.LeftOver(
            migration_uuid=record.uuid, status=record.status
        )
        if not CONF.nova_throttle.repair_leftovers:
            LOG.warning(
                '%s; it stays because [nova_throttle] repair_leftovers is '
                'false',
                error,
                instance_uuid=record.instance_uuid,
            )
            return
        migration = self._parts.make_migration(
            context,
            record.dest_compute,
            stored.instance(context, record.instance_uuid),
            None,
            record,
            None,
        )
        self._parts.leaver.leave(migration, 'error', error)


def _request(entry: Any) -> request_lib.Request:
    return assembly_lib.make_request(
        entry.migration_uuid,
        entry.migration_id,
        entry.instance_uuid,
        entry.dest,
        entry.priority,
    )
