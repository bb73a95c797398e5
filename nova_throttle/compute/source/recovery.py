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
from nova_throttle.compute.source import event
from nova_throttle.compute.source import job as job_lib
from nova_throttle.compute.source import record
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
        known = self._parts.jobs.of_migration
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

    def _job(self, entry: Any) -> job_lib.Job:
        """Make a job of an entry, whatever has become of its server."""
        context = record.context_of(entry)
        job = self._parts.make_job(
            context,
            entry.dest,
            stored.instance(context, entry.instance_uuid),
            entry.block_migration,
            stored.migration(context, self._manager.host, entry),
            None,
            priority=entry.priority,
        )
        job.accepted_at = entry.accepted_at
        job.carried_over = True
        record.restore(entry, job)
        event.resume(self._manager.host, job)
        return job

    def _restore(self, entry: Any) -> None:
        """Put what was queued back into the queue, or take it out."""
        job = self._job(entry)
        newer = self._parts.jobs.of_instance(entry.instance_uuid)
        if CONF.nova_throttle.on_restart == 'cancel':
            self._parts.completion.leave(
                job, 'cancelled', exception.CancelledByRestart()
            )
        elif newer is not None:
            self._parts.completion.leave(
                job,
                'cancelled',
                exception.Superseded(
                    instance_uuid=entry.instance_uuid,
                    migration_uuid=newer.migration.uuid,
                ),
            )
        elif job.migration.status in compat.FINAL_STATUSES:
            self._parts.completion.leave(
                job,
                'error',
                exception.MigrationNotQueued(
                    migration_uuid=job.migration.uuid,
                    status=job.migration.status,
                ),
            )
        else:
            self._go_on(entry, job)

    def _go_on(self, entry: Any, job: job_lib.Job) -> None:
        LOG.info(
            'Live migration %s goes on from the queue after a restart',
            job.migration.uuid,
            instance=job.instance,
        )
        record.restore_pci_requests(entry, job)
        self._parts.intake.retake(job)

    def _resume(self, entry: Any) -> None:
        """Deal with what was interrupted in one of the later phases."""
        job = self._job(entry)
        credentials.lend(job.context)
        if entry.prepared:
            job.source_bdms = record.source_bdms_of(
                self._manager, job.context, entry
            )
        if entry.phase == 'leaving':
            # A failure is the leaver's to try again, from now on.
            self._parts.leaver.attempt(job, entry.status)
            return
        standing = self._parts.succession.standing(job)
        if entry.phase == 'running' and standing.has_arrived(job.dest):
            self._complete(job)
        elif not standing.is_ours:
            self._end(job, 'error', standing.reason)
        elif entry.phase == 'preparing':
            self._resume_preparing(entry, job)
        else:
            self._resume_running(job)

    def _resume_preparing(self, entry: Any, job: job_lib.Job) -> None:
        """Undo what was prepared; then back to the queue, or out of it."""
        if CONF.nova_throttle.on_restart == 'cancel':
            self._end(job, 'cancelled', exception.CancelledByRestart())
        elif self._is_stale(job) or not self._unprepare(entry, job):
            self._end(job, 'error', exception.Interrupted(phase='prepared'))
        else:
            self._go_on(entry, job)

    def _is_stale(self, job: job_lib.Job) -> bool:
        instance = job.instance
        return (
            'host' not in instance
            or instance.host != self._manager.host
            or instance.task_state != task_states.MIGRATING
            or job.migration.status in compat.FINAL_STATUSES
        )

    def _unprepare(self, entry: Any, job: job_lib.Job) -> bool:
        if not entry.prepared:
            return True
        return undo_preparation.unprepare(self._manager, job)

    def _resume_running(self, job: job_lib.Job) -> None:
        """Look at the hypervisor first: it goes on without nova-compute."""
        end = getattr(self._manager.driver, 'end_live_migration', None)
        if end is None:
            self._leave_to_nova(job)
            return
        end(job.instance)
        verdict = arrival.find(
            self._manager, job.context, job.instance, job.dest
        )
        if verdict is arrival.Verdict.ARRIVED:
            self._parts.ending.complete_unseen(job)
            self._complete(job)
        else:
            self._end(job, 'error', exception.Interrupted(phase='ran'))

    def _leave_to_nova(self, job: job_lib.Job) -> None:
        """Do what Nova does at its start: it can't ask this driver either."""
        nova_manager.ComputeManager._reset_live_migration(
            self._manager, job.context, job.instance
        )
        job.error = exception.Interrupted(phase='ran')
        event.finish(job)
        self._parts.journal.remove(job.migration.uuid)
        self._parts.throttle.finish(job.migration.uuid)

    def _complete(self, job: job_lib.Job) -> None:
        """Close what completed: the server is on its destination."""
        # With what Nova would have given back, if the destination was down.
        self._parts.leaver.leave(
            job, 'completed', exception.ArrivedUnseen(host=job.dest)
        )
        event.finish(job)
        self._parts.throttle.finish(job.migration.uuid)

    def _end(self, job: job_lib.Job, status: str, error: Exception) -> None:
        self._parts.completion.leave(job, status, error)
        self._parts.throttle.finish(job.migration.uuid)

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
        for migration in found:
            if self._is_unknown(migration):
                # Read again: it may have ended since the list was made.
                self._repair(
                    context,
                    objects.Migration.get_by_uuid(context, migration.uuid),
                )

    def _is_unknown(self, migration: Any) -> bool:
        return (
            self._parts.journal.get(migration.uuid) is None
            and self._parts.jobs.of_migration(migration.uuid) is None
            and not self._parts.leaver.knows(migration.uuid)
        )

    def _repair(self, context: Any, migration: Any) -> None:
        if migration.status not in _LEFT_OVER:
            return
        error = exception.LeftOver(
            migration_uuid=migration.uuid, status=migration.status
        )
        if not CONF.nova_throttle.repair_leftovers:
            LOG.warning(
                '%s; it stays because [nova_throttle] repair_leftovers is '
                'false',
                error,
                instance_uuid=migration.instance_uuid,
            )
            return
        job = self._parts.make_job(
            context,
            migration.dest_compute,
            stored.instance(context, migration.instance_uuid),
            None,
            migration,
            None,
        )
        self._parts.leaver.leave(job, 'error', error)


def _request(entry: Any) -> request_lib.Request:
    return assembly_lib.make_request(
        entry.migration_uuid,
        entry.migration_id,
        entry.instance_uuid,
        entry.dest,
        entry.priority,
    )
