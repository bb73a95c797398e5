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

"""What Nova tells the world about an abort, and its own way to abort.

An abort that reaches a running migration is Nova's business; one that finds
its migration before the driver is ours, with the same notifications.
"""

from collections.abc import Iterator
import contextlib
from typing import Any

from nova.compute import manager as nova_manager
from nova.compute import utils as compute_utils
from nova.objects import fields
from nova import safe_utils

from nova_throttle.compute import job as job_lib

# Without its decorators: the caller has them.
_abort = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager.live_migration_abort
)


def by_nova(
    manager: Any, context: Any, instance: Any, migration_id: int
) -> None:
    """Abort as Nova does.

    :raises InvalidMigrationState: if the migration is not running.
    """
    _abort(manager, context, instance, migration_id)


def notify_start(manager: Any, job: job_lib.Job) -> None:
    """Send the notifications that an abort begins."""
    context, instance = job.context, job.instance
    manager._notify_about_instance_usage(
        context, instance, 'live.migration.abort.start'
    )
    compute_utils.notify_about_instance_action(
        context,
        instance,
        manager.host,
        action=fields.NotificationAction.LIVE_MIGRATION_ABORT,
        phase=fields.NotificationPhase.START,
    )


@contextlib.contextmanager
def notified(manager: Any, job: job_lib.Job) -> Iterator[None]:
    """Send the notifications of an abort around it."""
    notify_start(manager, job)
    yield
    manager._notify_live_migrate_abort_end(job.context, job.instance)
