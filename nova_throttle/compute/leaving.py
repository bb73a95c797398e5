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

"""How a request leaves that Nova did not see through: with nothing held.

Allocations, port bindings, claims, volumes and the server's task state are
given back; of one whose guest has arrived, what it held here. Each step may
be done twice, each is tried even if one before it failed, and what failed is
tried again, across restarts, until it is done.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import threading
import time
from typing import Any

from nova.compute import manager as nova_manager
from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from nova import safe_utils
from oslo_log import log as logging

from nova_throttle.compute import checks
from nova_throttle.compute import compat
from nova_throttle.compute import job as job_lib
from nova_throttle.compute import postman
from nova_throttle.compute import record
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)

# Seconds between two attempts to clean up: doubled from the first to the
# last after each that failed.
RETRY_FIRST = 10.0
RETRY_LAST = 600.0

# A server that is on its destination leaves too, if Nova could not see its
# migration through.
COMPLETED = 'completed'

# Without the decorators that add a fault at each attempt.
_rollback = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager._rollback_live_migration
)


@dataclasses.dataclass
class _Departure:
    """A job that has to leave, and has not managed to yet."""

    job: job_lib.Job
    status: str
    delay: float = RETRY_FIRST
    due: float = 0.0
    # Two threads must not clean up after the same job at once.
    busy: bool = False


class Leaver:
    """Takes jobs out and remembers those that could not be cleaned up.

    :param manager: the compute manager of the source host.
    :param journal: where a job is kept until it has left.
    """

    def __init__(self, manager: Any, journal: journal_lib.Journal) -> None:
        self._manager = manager
        self._journal = journal
        self._departures: dict[str, _Departure] = {}
        self._lock = threading.Lock()
        # Each by itself: another host that is silent holds up its own only.
        self._retries = postman.Postman('cleanup', self._retry)

    @property
    def idle(self) -> bool:
        """Whether nothing is tried again now."""
        return self._retries.idle

    def leave(
        self, job: job_lib.Job, status: str, reason: BaseException
    ) -> bool:
        """Give back all that a job holds which does not migrate.

        :param job: a job that is not in the driver.
        :param status: the final status of its migration record.
        :param reason: why it leaves.
        :returns: whether all is done; otherwise it is tried again later.
        """
        LOG.info(
            'Live migration %(uuid)s to %(dest)s leaves as %(status)s: '
            '%(reason)s',
            {
                'uuid': job.migration.uuid,
                'dest': job.dest,
                'status': status,
                'reason': reason,
            },
            instance=job.instance,
        )
        try:
            self._journal.put(
                record.entry_of(
                    job, 'leaving', status=status, reason=str(reason)
                )
            )
        except Exception:
            # It leaves all the same: only a restart would forget it.
            LOG.exception('Can not note that %s leaves', job)
        return self.attempt(job, status)

    def attempt(self, job: job_lib.Job, status: str) -> bool:
        """Clean up after a job that leaves; see leave()."""
        with self._lock:
            departure = self._departures.setdefault(
                job.migration.uuid, _Departure(job, status)
            )
        return self._try(departure)

    def _try(self, departure: _Departure) -> bool:
        uuid = departure.job.migration.uuid
        with self._lock:
            over = self._departures.get(uuid) is not departure
            if over or departure.busy:
                return over
            departure.busy = True
        done = self._clean_and_forget(departure)
        with self._lock:
            departure.busy = False
            if done:
                del self._departures[uuid]
            else:
                departure.due = time.monotonic() + departure.delay
                departure.delay = min(2 * departure.delay, RETRY_LAST)
        return done

    def _clean_and_forget(self, departure: _Departure) -> bool:
        job = departure.job
        return _clean(self._manager, job, departure.status) and _succeeds(
            job, lambda: self._journal.remove(job.migration.uuid)
        )

    def knows(self, migration_uuid: str) -> bool:
        """Tell whether a job is leaving."""
        return migration_uuid in self._departures

    def retry(self) -> None:
        """Have tried again what failed before and is due."""
        with self._lock:
            due = [
                uuid
                for uuid, departure in self._departures.items()
                if time.monotonic() >= departure.due and not departure.busy
            ]
        for uuid in due:
            self._retries.post(uuid)

    def _retry(self, migration_uuid: str) -> bool:
        departure = self._departures.get(migration_uuid)
        return departure is None or self._try(departure)


def _clean(manager: Any, job: job_lib.Job, status: str) -> bool:
    if not _succeeds(job, lambda: _find(job)):
        return False
    # All are tried, whatever fails.
    given_back = [
        _succeeds(job, step) for step in _steps(manager, job, status)
    ]
    # Last, and only then: until they are settled nobody can ask again, and
    # so another attempt can't meet a newer migration of the instance.
    return all(given_back) and _succeeds(
        job, lambda: _settle(manager, job, status)
    )


def _succeeds(job: job_lib.Job, step: Callable[[], object]) -> bool:
    try:
        step()
    except Exception:
        LOG.warning(
            'A step of cleaning up after live migration %s failed and will '
            'be tried again',
            job.migration.uuid,
            instance=job.instance,
            exc_info=True,
        )
        return False
    return True


def _steps(
    manager: Any, job: job_lib.Job, status: str
) -> Iterator[Callable[[], object]]:
    instance = job.found_instance
    moved = instance is None or instance.host != manager.host
    if moved or status == COMPLETED:
        yield lambda: _drop_allocations(manager, job)
        if instance is not None and moved:
            yield lambda: _drop_own_bindings(manager, job)
    else:
        if job.may_be_prepared:
            yield lambda: _roll_back(manager, job, status)
        yield from _own_steps(manager, job)


def _own_steps(
    manager: Any, job: job_lib.Job
) -> Iterator[Callable[[], object]]:
    """Give back what every accepted request holds."""
    context = job.context
    yield lambda: _revert_allocations(manager, job)
    # Deletes the inactive port bindings of the destination.
    yield lambda: manager.network_api.setup_networks_on_host(
        context, job.found_instance, host=job.dest, teardown=True
    )
    if _has_claim(job.requested_data):
        yield lambda: _drop_claim(manager, job)


def _find(job: job_lib.Job) -> None:
    """Read the instance again: what came with the request is stale."""
    try:
        job.found_instance = objects.Instance.get_by_uuid(
            job.context,
            job.instance.uuid,
            expected_attrs=['migration_context', 'info_cache', 'flavor'],
        )
    except nova_exception.InstanceNotFound:
        job.found_instance = None


def _roll_back(manager: Any, job: job_lib.Job, status: str) -> None:
    """Undo what the destination prepared."""
    if job.found_instance.task_state != task_states.MIGRATING:
        return
    job.migrate_data.migration = job.migration
    _rollback(
        manager,
        job.context,
        job.instance,
        job.dest,
        job.migrate_data,
        status,
        source_bdms=job.source_bdms,
    )
    job.called_back = True
    _find(job)


def _revert_allocations(manager: Any, job: job_lib.Job) -> None:
    found = manager.reportclient.get_allocations_for_consumer(
        job.context, job.migration.uuid
    )
    # None if they were reverted by an attempt before.
    if found:
        manager._revert_allocation(
            job.context, job.found_instance, job.migration
        )


def _drop_allocations(manager: Any, job: job_lib.Job) -> None:
    """Delete what the migration holds for a server that is not here."""
    manager.reportclient.delete_allocation_for_instance(
        job.context,
        job.migration.uuid,
        consumer_type='migration',
        force=False,
    )


def _drop_own_bindings(manager: Any, job: job_lib.Job) -> None:
    """Delete this host's inactive port bindings of a server elsewhere."""
    # One that migrates again may be on its way back to this host.
    if job.found_instance.task_state != task_states.MIGRATING:
        manager.network_api.setup_networks_on_host(
            job.context, job.found_instance, host=manager.host, teardown=True
        )


def _has_claim(migrate_data: Any) -> bool:
    # Set by the source's check only if the destination claimed.
    name = 'src_supports_numa_live_migration'
    return bool(
        migrate_data is not None
        and name in migrate_data
        and getattr(migrate_data, name)
    )


def _drop_claim(manager: Any, job: job_lib.Job) -> None:
    # A service that is down forgets its claims: it rebuilds them, at its
    # start, from the records of migrations that are not over.
    if checks.service_state(job.context, job.dest) not in ('down', 'deleted'):
        manager.compute_rpcapi.drop_move_claim_at_destination(
            job.context, job.instance, job.dest
        )


def _settle(manager: Any, job: job_lib.Job, status: str) -> None:
    instance = job.found_instance
    stays = instance is not None and instance.host == manager.host
    if stays and status != COMPLETED:
        _settle_instance(instance)
    _settle_migration(job, status)


def _settle_instance(instance: Any) -> None:
    """Make the instance ACTIVE on its host again."""
    if instance.task_state != task_states.MIGRATING:
        return
    instance.task_state = None
    instance.progress = 0
    instance.drop_migration_context()
    try:
        instance.save(expected_task_state=[task_states.MIGRATING])
    except nova_exception.InstanceNotFound:
        LOG.debug('The instance was deleted', instance=instance)


def _settle_migration(job: job_lib.Job, status: str) -> None:
    """Give the record its final status, unless it has one.

    What completed did so whatever the record says.
    """
    try:
        job.migration = objects.Migration.get_by_uuid(
            job.context, job.migration.uuid
        )
    except nova_exception.MigrationNotFound:
        return
    found = job.migration.status
    if found != status and (
        found not in compat.FINAL_STATUSES or status == COMPLETED
    ):
        job.migration.status = status
        job.migration.save()
