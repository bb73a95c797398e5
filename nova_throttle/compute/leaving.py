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

"""How a request leaves the queue without migrating.

Whatever a request that never started holds is given back: allocations, port
bindings and claims on the destination, the server's task state. Each step is
tried even if one before it failed.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.compute import job as job_lib

LOG = logging.getLogger(__name__)


def leave(
    manager: Any, job: job_lib.Job, status: str, reason: BaseException
) -> bool:
    """Give back all that a request holds which does not migrate.

    :param manager: the compute manager of the source host.
    :param job: a job whose destination was not prepared.
    :param status: the final status of its migration record.
    :param reason: why, for the log.
    :returns: whether every step succeeded.
    """
    LOG.info(
        'Live migration %(uuid)s to %(dest)s leaves the queue as '
        '%(status)s: %(reason)s',
        {
            'uuid': job.migration.uuid,
            'dest': job.dest,
            'status': status,
            'reason': reason,
        },
        instance=job.instance,
    )
    done = True
    for step in _steps(manager, job, status):
        try:
            step()
        except Exception:
            done = False
            LOG.exception(
                'A step of cleaning up after live migration %s failed',
                job.migration.uuid,
                instance=job.instance,
            )
    return done


def _steps(
    manager: Any, job: job_lib.Job, status: str
) -> Iterator[Callable[[], object]]:
    context, instance, migration = job.context, job.instance, job.migration
    yield lambda: manager._revert_allocation(context, instance, migration)
    # Deletes the inactive port bindings of the destination.
    yield lambda: manager.network_api.setup_networks_on_host(
        context, instance, host=job.dest, teardown=True
    )
    if _has_claim(job.migrate_data):
        yield lambda: manager.compute_rpcapi.drop_move_claim_at_destination(
            context, instance, job.dest
        )
    yield lambda: _settle_instance(context, instance)
    yield lambda: manager._set_migration_status(migration, status)


def _has_claim(migrate_data: Any) -> bool:
    # Set by the source's check only if the destination claimed.
    name = 'src_supports_numa_live_migration'
    return bool(
        migrate_data is not None
        and name in migrate_data
        and getattr(migrate_data, name)
    )


def _settle_instance(context: Any, instance: Any) -> None:
    """Make the instance ACTIVE on its host again.

    A fresh copy is saved: the one that came with the request may be stale,
    and carries PCI requests that were made for the destination.
    """
    try:
        fresh = objects.Instance.get_by_uuid(
            context, instance.uuid, expected_attrs=['migration_context']
        )
        fresh.task_state = None
        fresh.progress = 0
        fresh.drop_migration_context()
        fresh.save(expected_task_state=[task_states.MIGRATING])
    except (
        nova_exception.InstanceNotFound,
        nova_exception.UnexpectedTaskStateError,
    ):
        LOG.debug('The instance is gone or busy', instance=instance)
