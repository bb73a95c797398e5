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

"""The admission desk of one host: what becomes of each live migration.

Every accepted request is in the journal before the caller is answered, and
leaves it when the migration is over. Whatever happens on the way, its slots
are given back once and nothing is held for it.
"""

from collections.abc import Callable
import functools
import threading
from typing import Any

import nova.conf
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import effects
from nova_throttle.admission import request as request_lib
from nova_throttle.agreement import messages
from nova_throttle.compute import allocations
from nova_throttle.compute import checks
from nova_throttle.compute import compat
from nova_throttle.compute import credentials
from nova_throttle.compute import deferral
from nova_throttle.compute import ending
from nova_throttle.compute import event
from nova_throttle.compute import job as job_lib
from nova_throttle.compute import leaving
from nova_throttle.compute import peers
from nova_throttle.compute import present
from nova_throttle.compute import reasons
from nova_throttle.compute import record
from nova_throttle.compute import secret
from nova_throttle.compute import succession
from nova_throttle.compute import threads
from nova_throttle import exception
from nova_throttle import journal

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# The gates of what leaves this host, and of what comes to it.
SOURCE = 'source'
DESTINATION = messages.DESTINATION

# The stages of a live migration: from its admission to its end, so far.
IN_PROGRESS = 'in progress'


def make_request(
    migration_uuid: str,
    migration_id: int,
    instance_uuid: str,
    dest: str,
    priority: int,
) -> request_lib.Request:
    """Make what the core knows of a live migration of this host.

    The id of its record, one sequence in all of a cell, is its position among
    the requests of all hosts.
    """
    gate = request_lib.RemoteGate(DESTINATION, dest)
    return request_lib.Request(
        migration_uuid=migration_uuid,
        instance_uuid=instance_uuid,
        destination=dest,
        needs=(request_lib.Needs((SOURCE,), (gate,)),),
        priority=priority,
        arrival=migration_id,
    )


class Desk:
    """Takes requests, has them admitted, and sees them through.

    :param manager: the compute manager of this host, whose own methods do
        the work.
    """

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.jobs = job_lib.Jobs()
        self.journal = journal.Journal(
            CONF.nova_throttle.journal_dir, manager.host
        )
        self.peers = peers.Peers(
            manager.host,
            {IN_PROGRESS: {SOURCE: CONF.max_concurrent_live_migrations}},
            self._start,
            self._note_asked,
            self._note_change,
        )
        self.throttle = self.peers.throttle
        self.reasons = reasons.Reasons(
            manager.host, self.jobs, self.throttle.snapshot
        )
        self.succession = succession.Succession(self)
        self.leaver = leaving.Leaver(
            manager, self.journal, self.succession.phase_of
        )
        self.ending = ending.Ending(
            manager, self.jobs, self.leaver, self.succession
        )
        self.deferral = deferral.Deferral(
            manager, self.jobs, self.throttle, self.leave
        )
        self.clerk = threads.BackgroundWorker('clerk')
        # Deals with a migration of the journal as after a restart.
        self.recover: Callable[[str], None] = lambda migration_uuid: None
        # The migrations that a thread asks for right now.
        self._asking = threading.local()
        self._workers = threads.Workers(self._migrate)

    def make_job(self, *args: Any, priority: int = 0) -> job_lib.Job:
        """Make a job of the arguments of Nova's RPC handler."""
        _, dest, instance, _, migration, _ = args
        request = make_request(
            migration.uuid, migration.id, instance.uuid, dest, priority
        )
        return job_lib.Job(*args, request=request, on_over=self._finish)

    # From the request to admission

    def take(self, job: job_lib.Job) -> None:
        """Accept a request, or have it leave with nothing held."""
        try:
            self.jobs.add(job)
        except exception.DuplicateRequest as error:
            # A message that came twice must not disturb the first.
            LOG.warning('Ignored: %s', error, instance=job.instance)
            return
        try:
            self.succession.make_way(job)
            self._accept(job)
        except Exception as error:
            self.leave(job, 'error', error)

    def _accept(self, job: job_lib.Job) -> None:
        self._hand_ticket_to_nova(job, job.request.ticket)
        event.start(self.manager.host, job)
        if self.throttle.closed:
            raise exception.AdmissionClosed(migration_uuid=job.migration.uuid)
        self.journal.put(record.entry_of(job, 'queued'))
        try:
            self.manager._set_migration_status(job.migration, 'queued')
        except Exception as error:
            if not self.deferral.defer(job, error):
                raise
        self.throttle.submit(job.request, self.deferral.reason(job))
        self.reasons.look()

    def retake(self, job: job_lib.Job) -> None:
        """Put a job that was accepted before at the head of the queue.

        It can be aborted from where it is in the table on: whatever is
        written about it afterwards would overwrite how that ended.
        """
        if job.migration.status != 'queued':
            self.manager._set_migration_status(job.migration, 'queued')
        self.journal.put(record.entry_of(job, 'queued'))
        self.jobs.add(job)
        self._hand_ticket_to_nova(job, job.request.ticket)
        self.throttle.resubmit(job.request)

    def _put_back(self, job: job_lib.Job) -> None:
        """Have an admitted job wait again of which nothing is prepared.

        :raises MigrationAborted: if an abort came before.
        """
        try:
            self.journal.put(record.entry_of(job, 'queued'))
        except Exception:
            # The entry that is there leads to the same after a restart.
            LOG.exception('Cannot note that %s is queued again', job)
        request = request_lib.renewed(job.request)
        self._hand_ticket_to_nova(job, request.ticket)
        compat.record_task_end(self.manager, job, failed=False)
        job.task_key = None
        job.put_back(request)
        self.throttle.resubmit(request, self.deferral.reason(job))
        if self.deferral.reason(job) is None:
            # It became due meanwhile.
            self.throttle.defer(request.migration_uuid, None)
        self.deferral.defer_others(job)
        self.reasons.look()

    def _hand_ticket_to_nova(
        self, job: job_lib.Job, ticket: request_lib.Ticket
    ) -> None:
        # Nova's own table: its code finds and cancels the ticket there.
        self.manager._waiting_live_migrations[job.instance.uuid] = (
            job.migration,
            ticket,
        )
        if ticket.cancelled():
            self._take_ticket_back(job, ticket)

    def _start(self, grant: effects.Grant) -> None:
        """Start an admitted request; called by the controller."""
        request = grant.request
        job = self.jobs.of_migration(request.migration_uuid)
        assert job is not None  # it leaves the table after the throttle
        fresh: set[str] = getattr(self._asking, 'fresh', set())
        job.has_waited = (
            job.carried_over
            or job.is_stale
            or request.migration_uuid not in fresh
        )
        self.deferral.begin(job)
        job.task_key = compat.record_task_start(self.manager, job)
        try:
            self._workers.start(job)
        except Exception as error:
            compat.record_task_end(self.manager, job, failed=True)
            self.leave(job, 'error', error)
            raise

    def _note_asked(self, ask: messages.Ask) -> None:
        """Note whom this thread asks for the first time.

        What the answer lets start has not waited.
        """
        self._asking.fresh = set()
        for item in ask.items:
            job = self.jobs.of_migration(item.migration_uuid)
            if job is not None and not job.asked:
                job.asked = True
                self._asking.fresh.add(item.migration_uuid)

    def _note_change(self) -> None:
        self.reasons.look()

    # From admission to the end

    def _migrate(self, job: job_lib.Job) -> None:
        """Do an admitted live migration, on a thread of its own."""
        error = self._attempt(job)
        if error is not None and self._may_wait(job, error):
            try:
                with self._workers.ending():
                    self._put_back(job)
                return
            except exception.MigrationAborted as aborted:
                error = aborted
        try:
            if error is not None:
                self._back_out(job, error)
        finally:
            with self._workers.ending():
                job.returned(error)

    def _attempt(self, job: job_lib.Job) -> BaseException | None:
        try:
            job.enter(job_lib.Phase.PREPARING)
            self._check(job)
            self.manager._do_live_migration(*job.arguments)
        except BaseException as error:
            return error
        return None

    def _may_wait(self, job: job_lib.Job, error: BaseException) -> bool:
        """Tell whether a job that failed may go back to the queue."""
        nothing_is_prepared = (
            job.phase is job_lib.Phase.PREPARING and job.source_bdms is None
        )
        return nothing_is_prepared and self.deferral.defer(job, error)

    def _back_out(self, job: job_lib.Job, error: BaseException) -> None:
        if job.phase is job_lib.Phase.IN_DRIVER and ending.is_away(error):
            job.is_unended = True
        if isinstance(error, exception.MigrationAborted):
            self._undo(job, 'cancelled', error)
            self.manager._notify_live_migrate_abort_end(
                job.context, job.instance
            )
            return
        LOG.error(
            'Live migration failed: %s',
            error,
            instance=job.instance,
            # A refusal of ours says all in its line.
            exc_info=not isinstance(error, exception.ThrottleError) and error,
        )
        self._undo(job, 'error', error)

    def _check(self, job: job_lib.Job) -> None:
        """See that a job may start, and has what it needs.

        :raises ThrottleError: if not, or nobody can tell.
        """
        try:
            self._check_now(job)
        except (exception.ThrottleError, nova_exception.NotFound):
            raise
        except Exception as error:
            raise exception.NotChecked(error=error) from error

    def _check_now(self, job: job_lib.Job) -> None:
        self.journal.put(record.entry_of(job, 'preparing'))
        if not job.has_waited:
            checks.check_guest(self.manager, job)
            return
        checks.check(self.manager, job)
        allocations.restore(self.manager, job)
        if job.carried_over:
            credentials.lend(job.context)
            secret.read_again(self.manager, job)
        # Nova's table has the record that the job had before.
        if job.instance.uuid in self.manager._waiting_live_migrations:
            self._hand_ticket_to_nova(job, job.request.ticket)

    def prepare(self, job: job_lib.Job, source_bdms: Any) -> None:
        """Note that the destination is asked to prepare now."""
        job.enter(job_lib.Phase.PREPARING)
        self.deferral.forget(job)
        job.source_bdms = source_bdms
        self.journal.put(record.entry_of(job, 'preparing'))

    def note_running(self, job: job_lib.Job) -> None:
        """Note, before Nova does, that the driver is entered soon.

        :raises GuestNotRunning: if there is nothing to migrate any more.
        """
        checks.check_guest(self.manager, job)
        self.journal.put(record.entry_of(job, 'running'))

    def drive(self, job: job_lib.Job) -> None:
        """Note that the driver is entered now."""
        job.enter(job_lib.Phase.IN_DRIVER)

    def _finish(self, job: job_lib.Job) -> None:
        """Give the slots back; called once, when the migration is over."""
        if job.is_unended:
            self.clerk.do(functools.partial(self._look_again, job))
            return
        self.throttle.finish(job.migration.uuid, job.error)
        self.reasons.look()
        self.clerk.do(functools.partial(self._file, job))

    def _file(self, job: job_lib.Job) -> None:
        """Do what the next migration need not wait for."""
        try:
            if job.error and not self._is_settled(job):
                self._fail(job)
            if job.error and (
                job.has_arrived or self.succession.is_deleted(job)
            ):
                self.leaver.leave(job, 'error', job.error)
        except Exception:
            LOG.exception(
                'Cannot record how live migration %s ended',
                job.migration.uuid,
                instance=job.instance,
            )
            if not self.leaver.knows(job.migration.uuid):
                self._look_again(job)
                return
        event.finish(job)
        self._forget(job)
        if not self.leaver.knows(job.migration.uuid):
            self.journal.remove(job.migration.uuid)
        self._end_task(job)

    def _look_again(self, job: job_lib.Job) -> None:
        """Have it found out later, as after a restart, how a job ended.

        It keeps the slots that it has.
        """
        LOG.warning(
            'The control plane was away when live migration %s ended: its '
            'end is looked for as after a restart',
            job.migration.uuid,
            instance=job.instance,
        )
        self._forget(job)
        self._end_task(job)
        self.recover(job.migration.uuid)

    def _end_task(self, job: job_lib.Job) -> None:
        failed = job.migration.status != 'completed'
        compat.record_task_end(self.manager, job, failed=failed)

    def _is_settled(self, job: job_lib.Job) -> bool:
        """Tell whether the record has its end, or will get it."""
        return (
            job.migration.status in compat.FINAL_STATUSES
            or self.leaver.knows(job.migration.uuid)
        )

    def _fail(self, job: job_lib.Job) -> None:
        """Do what Nova does when it is too late to roll back.

        Nova does it itself for a driver that raises; this is for a late
        callback, whose error no code of Nova's sees.
        """
        self.manager._set_migration_status(job.migration, 'error')
        if not self._has_its_server(job):
            return
        job.instance.refresh()
        self.manager._set_instance_obj_error_state(
            job.instance, clean_task_state=True
        )

    def _has_its_server(self, job: job_lib.Job) -> bool:
        """Tell whether a server is a job's, wherever that has brought it."""
        standing = self.succession.standing(job)
        moved = standing.state is present.State.MOVED
        return standing.is_ours or (
            job.has_arrived and moved and standing.instance.host == job.dest
        )

    # Ways out other than through the driver

    def _undo(
        self, job: job_lib.Job, status: str, error: BaseException
    ) -> None:
        """Roll an admitted job back that did not reach the driver."""
        reached = job.phase is job_lib.Phase.IN_DRIVER
        if not reached and not job.called_back:
            self.leaver.leave(job, status, error)

    def leave(
        self, job: job_lib.Job, status: str, error: BaseException
    ) -> None:
        """Take a job out that does not run."""
        job.error = error
        try:
            self.leaver.leave(job, status, error)
        finally:
            self._forget(job)
            event.finish(job)

    def _forget(self, job: job_lib.Job) -> None:
        self.jobs.remove(job)
        self.deferral.forget(job)
        self._take_ticket_back(job, job.request.ticket)

    def _take_ticket_back(
        self, job: job_lib.Job, ticket: request_lib.Ticket
    ) -> None:
        waiting = self.manager._waiting_live_migrations
        entry = waiting.get(job.instance.uuid)
        if entry is not None and entry[1] is ticket:
            waiting.pop(job.instance.uuid, None)

    def take_tickets_back(self) -> None:
        """Leave nothing of ours in Nova's table, which it cancels."""
        waiting = self.manager._waiting_live_migrations
        for instance_uuid in list(waiting):
            if self.jobs.all_of_instance(instance_uuid):
                waiting.pop(instance_uuid, None)

    def find_lost_owners(self, context: Any) -> None:
        """Free slots whose driver never said that it was done."""
        for job in self.jobs.awaiting_callback():
            found = objects.Migration.get_by_uuid(context, job.migration.uuid)
            if found.status in compat.FINAL_STATUSES:
                LOG.warning(
                    'The driver never reported the end of live migration '
                    '%(uuid)s, which is %(status)s: its slot is freed',
                    {'uuid': found.uuid, 'status': found.status},
                    instance=job.instance,
                )
                job.found_over(found)
