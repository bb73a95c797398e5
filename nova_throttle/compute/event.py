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

"""The instance-action event of a live migration tells the truth.

It starts when the request arrives and ends when the migration ends, with
what really became of it. It is best effort: a lost event loses no slot.
"""

from typing import Any

from nova.compute import utils as compute_utils
from oslo_log import log as logging

from nova_throttle.compute import compat
from nova_throttle.compute import job as job_lib
from nova_throttle import exception

LOG = logging.getLogger(__name__)

# Nova's own name for it, by which clients know it.
NAME = 'compute_live_migration'


def start(manager: Any, job: job_lib.Job) -> None:
    """Open the event of a job."""
    reporter = compute_utils.EventReporter(
        job.context, NAME, manager.host, job.instance.uuid
    )
    reporter.__enter__()
    job.event = reporter


def finish(manager: Any, job: job_lib.Job) -> None:
    """Close the event with the result of a job that is over."""
    if job.event is None:
        return
    error = job.error
    failed = compat.FINAL_STATUSES - {'completed'}
    if error is None and job.migration.status in failed:
        error = exception.MigrationFailed(
            migration_uuid=job.migration.uuid, status=job.migration.status
        )
    try:
        job.event.__exit__(
            type(error) if error else None,
            error,
            error.__traceback__ if error else None,
        )
    except Exception:
        LOG.exception(
            'Can not end the event of live migration %s',
            job.migration.uuid,
            instance=job.instance,
        )
