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

"""What the user is told of a live migration is the truth.

The event of the instance action starts when the request arrives and ends when
the migration ends, with what became of it. It is best effort: a lost event
loses no slot.
"""

import sys
from typing import Any

from nova.compute import utils as compute_utils
from oslo_log import log as logging

from nova_throttle.compute import compat
from nova_throttle.compute.source import job as job_lib
from nova_throttle import exception

LOG = logging.getLogger(__name__)

# Nova's own name for it, by which clients know it.
NAME = 'compute_live_migration'

_FAILED = compat.FINAL_STATUSES - {'completed'}


def start(host: str, job: job_lib.Job) -> None:
    """Open the event of a job of this host."""
    job.event = enter(host, job, NAME)


def resume(host: str, job: job_lib.Job) -> None:
    """Take up the event that a job opened before a restart."""
    job.event = _reporter(host, job)


def enter(host: str, job: job_lib.Job, name: str) -> Any:
    """Open an event of a job.

    :returns: what leave() needs; None if it could not be opened.
    """
    reporter = _reporter(host, job, name)
    try:
        reporter.__enter__()
    except Exception:
        _log(job, 'event')
        return None
    return reporter


def leave(job: job_lib.Job, reporter: Any) -> None:
    """Close another event of a job."""
    try:
        _close(reporter, None)
    except Exception:
        _log(job, 'event')


def _reporter(host: str, job: job_lib.Job, name: str = NAME) -> Any:
    return compute_utils.EventReporter(
        job.context, name, host, job.instance.uuid
    )


def finish(job: job_lib.Job) -> None:
    """Close the event with the result of a job that is over.

    A failure also leaves a fault on the instance; an abort is what its
    user wanted.
    """
    error = job.error
    if error is None and job.migration.status in _FAILED:
        error = exception.MigrationFailed(
            migration_uuid=job.migration.uuid, status=job.migration.status
        )
    try:
        if job.event is not None:
            _close(job.event, error)
    except Exception:
        _log(job, 'event')
    aborted = isinstance(error, exception.MigrationAborted)
    if error and not aborted and job.migration.status != 'cancelled':
        _add_fault(job, error)


def _close(reporter: Any, error: BaseException | None) -> None:
    if error is None:
        reporter.__exit__(None, None, None)
        return
    # Raised, because Nova tells a failure by its traceback.
    try:
        raise error
    except BaseException:
        reporter.__exit__(*sys.exc_info())


def _add_fault(job: job_lib.Job, error: BaseException) -> None:
    try:
        compute_utils.add_instance_fault_from_exc(
            job.context,
            job.instance,
            error,
            (type(error), error, error.__traceback__),
            fault_message=str(error),
        )
    except Exception:
        _log(job, 'fault')


def _log(job: job_lib.Job, what: str) -> None:
    LOG.exception(
        'Cannot record the %(what)s of live migration %(uuid)s',
        {'what': what, 'uuid': job.migration.uuid},
        instance=job.instance,
    )
