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
from nova_throttle.compute.source import job as job_lib
from nova_throttle.compute.source import succession as succession_lib
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import wait_events as reasons_lib
from nova_throttle.compute import threads
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)


class Completion:
    """Ends the live migrations of one host, whatever way they took.

    :param manager: the compute manager of this host.
    :param jobs: its live migrations.
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
        jobs: job_lib.Jobs,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        succession: succession_lib.Succession,
        leaver: cleanup.Leaver,
        reasons: reasons_lib.Reasons,
        clerk: threads.BackgroundWorker,
    ) -> None:
        self._manager = manager
        self._jobs = jobs
        self._journal = journal
        self._throttle = throttle
        self._succession = succession
        self._leaver = leaver
        self._reasons = reasons
        self._clerk = clerk
        # Set by who can: deals with a migration as after a restart.
        self.recover: Callable[[str], None] = lambda migration_uuid: None
        # Told of each job that leaves the registry.
        self.forgotten: Callable[[job_lib.Job], None] = lambda job: None

    def finish(self, job: job_lib.Job) -> None:
        """Give the slots back; called once, when the migration is over."""
        if job.is_unended:
            self._clerk.do(functools.partial(self._look_again, job))
            return
        self._throttle.finish(job.migration.uuid, job.error)
        self._reasons.look()
        self._clerk.do(functools.partial(self._file, job))

    def _file(self, job: job_lib.Job) -> None:
        """Do what the next migration need not wait for."""
        try:
            if job.error and not self._is_settled(job):
                self._fail(job)
            if job.error and (
                job.has_arrived or self._succession.is_deleted(job)
            ):
                self._leaver.leave(job, 'error', job.error)
        except Exception:
            LOG.exception(
                'Cannot record how live migration %s ended',
                job.migration.uuid,
                instance=job.instance,
            )
            if not self._leaver.knows(job.migration.uuid):
                self._look_again(job)
                return
        event.finish(job)
        self._forget(job)
        if not self._leaver.knows(job.migration.uuid):
            self._journal.remove(job.migration.uuid)
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
        compat.record_task_end(self._manager, job, failed=failed)

    def _is_settled(self, job: job_lib.Job) -> bool:
        """Tell whether the record has its end, or will get it."""
        return (
            job.migration.status in compat.FINAL_STATUSES
            or self._leaver.knows(job.migration.uuid)
        )

    def _fail(self, job: job_lib.Job) -> None:
        """Do what Nova does when it is too late to roll back.

        Nova does it itself for a driver that raises; this is for a late
        callback, whose error no code of Nova's sees.
        """
        self._manager._set_migration_status(job.migration, 'error')
        if not self._has_its_server(job):
            return
        job.instance.refresh()
        self._manager._set_instance_obj_error_state(
            job.instance, clean_task_state=True
        )

    def _has_its_server(self, job: job_lib.Job) -> bool:
        """Tell whether a server is a job's, wherever that has brought it."""
        standing = self._succession.standing(job)
        moved = standing.state is present.State.MOVED
        return standing.is_ours or (
            job.has_arrived and moved and standing.instance.host == job.dest
        )

    def leave(
        self, job: job_lib.Job, status: str, error: BaseException
    ) -> None:
        """Take a job out that does not run."""
        job.error = error
        try:
            self._leaver.leave(job, status, error)
        finally:
            self._forget(job)
            event.finish(job)

    def _forget(self, job: job_lib.Job) -> None:
        self._jobs.remove(job)
        self.forgotten(job)
        tickets.take_back(self._manager, job, job.request.ticket)

    def find_lost_owners(self, context: Any) -> None:
        """Free slots whose driver never said that it was done."""
        for job in self._jobs.awaiting_callback():
            found = objects.Migration.get_by_uuid(context, job.migration.uuid)
            if found.status in compat.FINAL_STATUSES:
                LOG.warning(
                    'The driver never reported the end of live migration '
                    '%(uuid)s, which is %(status)s: its slot is freed',
                    {'uuid': found.uuid, 'status': found.status},
                    instance=job.instance,
                )
                job.found_over(found)
