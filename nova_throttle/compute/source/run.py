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

"""From admission to the driver.

A request that a fault keeps from being prepared goes back to the queue; what
was prepared for one that cannot go on is undone.
"""

from collections.abc import Callable
import threading
from typing import Any

from nova import exception as nova_exception
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.admission import effects
from nova_throttle.admission import request as request_lib
from nova_throttle.agreement import messages
from nova_throttle.compute import compat
from nova_throttle.compute.source import allocations
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import cleanup
from nova_throttle.compute.source import credentials
from nova_throttle.compute.source import deferral as deferral_lib
from nova_throttle.compute.source import ending
from nova_throttle.compute.source import job as job_lib
from nova_throttle.compute.source import record
from nova_throttle.compute.source import secret
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import wait_events as reasons_lib
from nova_throttle.compute import threads
from nova_throttle import exception
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)


class Run:
    """Runs the admitted live migrations of one host.

    :param manager: the compute manager of this host, whose own method does
        the work.
    :param jobs: its live migrations.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param deferral: what has met a fault that may pass.
    :param leaver: undoes what was prepared.
    :param reasons: reports what they wait for.
    :param leave: takes a job out for good: with the job, the final status
        and the reason.
    """

    def __init__(
        self,
        manager: Any,
        jobs: job_lib.Jobs,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        deferral: deferral_lib.Deferral,
        leaver: cleanup.Leaver,
        reasons: reasons_lib.Reasons,
        leave: Callable[[job_lib.Job, str, BaseException], None],
    ) -> None:
        self._manager = manager
        self._jobs = jobs
        self._journal = journal
        self._throttle = throttle
        self._deferral = deferral
        self._leaver = leaver
        self._reasons = reasons
        self._leave = leave
        # The migrations that a thread asks for right now.
        self._asking = threading.local()
        self._workers = threads.Workers(self._migrate)

    def start(self, grant: effects.Grant) -> None:
        """Start an admitted request; called by the controller."""
        request = grant.request
        job = self._jobs.of_migration(request.migration_uuid)
        assert job is not None  # it leaves the table after the throttle
        fresh: set[str] = getattr(self._asking, 'fresh', set())
        job.has_waited = (
            job.carried_over
            or job.is_stale
            or request.migration_uuid not in fresh
        )
        self._deferral.begin(job)
        job.task_key = compat.record_task_start(self._manager, job)
        try:
            self._workers.start(job)
        except Exception as error:
            compat.record_task_end(self._manager, job, failed=True)
            self._leave(job, 'error', error)
            raise

    def note_asked(self, ask: messages.Ask) -> None:
        """Note whom this thread asks for the first time.

        What the answer lets start has not waited.
        """
        self._asking.fresh = set()
        for item in ask.items:
            job = self._jobs.of_migration(item.migration_uuid)
            if job is not None and not job.asked:
                job.asked = True
                self._asking.fresh.add(item.migration_uuid)

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
            self._manager._do_live_migration(*job.arguments)
        except BaseException as error:
            return error
        return None

    def _may_wait(self, job: job_lib.Job, error: BaseException) -> bool:
        """Tell whether a job that failed may go back to the queue."""
        nothing_is_prepared = (
            job.phase is job_lib.Phase.PREPARING and job.source_bdms is None
        )
        return nothing_is_prepared and self._deferral.defer(job, error)

    def _put_back(self, job: job_lib.Job) -> None:
        """Have an admitted job wait again of which nothing is prepared.

        :raises MigrationAborted: if an abort came before.
        """
        try:
            self._journal.put(record.entry_of(job, 'queued'))
        except Exception:
            # The entry that is there leads to the same after a restart.
            LOG.exception('Cannot note that %s is queued again', job)
        request = request_lib.renewed(job.request)
        tickets.hand(self._manager, job, request.ticket)
        compat.record_task_end(self._manager, job, failed=False)
        job.task_key = None
        job.put_back(request)
        self._throttle.resubmit(request, self._deferral.reason(job))
        if self._deferral.reason(job) is None:
            # It became due meanwhile.
            self._throttle.defer(request.migration_uuid, None)
        self._deferral.defer_others(job)
        self._reasons.look()

    def _back_out(self, job: job_lib.Job, error: BaseException) -> None:
        if job.phase is job_lib.Phase.IN_DRIVER and ending.is_away(error):
            job.is_unended = True
        if isinstance(error, exception.MigrationAborted):
            self._undo(job, 'cancelled', error)
            self._manager._notify_live_migrate_abort_end(
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

    def _undo(
        self, job: job_lib.Job, status: str, error: BaseException
    ) -> None:
        """Roll an admitted job back that did not reach the driver."""
        reached = job.phase is job_lib.Phase.IN_DRIVER
        if not reached and not job.called_back:
            self._leaver.leave(job, status, error)

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
        self._journal.put(record.entry_of(job, 'preparing'))
        if not job.has_waited:
            checks.check_guest(self._manager, job)
            return
        checks.check(self._manager, job)
        allocations.restore(self._manager, job)
        if job.carried_over:
            credentials.lend(job.context)
            secret.read_again(self._manager, job)
        # Nova's table has the record that the job had before.
        if tickets.is_with_nova(self._manager, job):
            tickets.hand(self._manager, job, job.request.ticket)

    def prepare(self, job: job_lib.Job, source_bdms: Any) -> None:
        """Note that the destination is asked to prepare now."""
        job.enter(job_lib.Phase.PREPARING)
        self._deferral.forget(job)
        job.source_bdms = source_bdms
        self._journal.put(record.entry_of(job, 'preparing'))

    def note_running(self, job: job_lib.Job) -> None:
        """Note, before Nova does, that the driver is entered soon.

        :raises GuestNotRunning: if there is nothing to migrate any more.
        """
        checks.check_guest(self._manager, job)
        self._journal.put(record.entry_of(job, 'running'))

    def drive(self, job: job_lib.Job) -> None:
        """Note that the driver is entered now."""
        job.enter(job_lib.Phase.IN_DRIVER)
