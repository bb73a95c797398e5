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

"""A ComputeManager that asks before it starts a live migration.

It translates between Nova and the admission core: what may start is decided
there. Every public method is one of Nova's, so the RPC interface of the
service is unchanged.
"""

import contextlib
from typing import Any

from nova.compute import manager as nova_manager
import nova.conf
from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.admission import request as request_lib
from nova_throttle.compute import abort
from nova_throttle.compute import chores
from nova_throttle.compute import compat
from nova_throttle.compute import event
from nova_throttle.compute import job as job_lib
from nova_throttle.compute import leaving
from nova_throttle import exception
from nova_throttle import rpcapi

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# The gate of this host's outgoing live migrations.
SOURCE = 'source'


class ThrottledComputeManager(nova_manager.ComputeManager):
    """Nova's compute manager with gates in front of live migrations.

    ``throttle`` is the admission controller of this host.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._jobs = job_lib.Jobs()
        self.throttle = controller.Controller(
            {SOURCE: CONF.max_concurrent_live_migrations}, self._start
        )
        self.additional_endpoints.append(rpcapi.ThrottleEndpoint(self))
        self._chores = chores.Chores(self._find_lost_owners)

    # Start and stop

    def init_host(self, service_ref: Any) -> None:
        """Start the host; a manager that was stopped may start again."""
        super().init_host(service_ref)
        self.throttle.open()
        self._chores.start(CONF.nova_throttle.housekeeping_interval)

    def reset(self) -> None:
        """Take up a configuration that was reloaded."""
        super().reset()
        self.throttle.resize(SOURCE, CONF.max_concurrent_live_migrations)

    def set_shutdown_in_progress(self) -> None:
        """Start nothing from now on: the first of Nova's stop hooks."""
        self.throttle.close()
        super().set_shutdown_in_progress()

    def graceful_shutdown(self, timeout: float) -> None:
        """Start nothing from now on, and wait for what is in progress."""
        self.throttle.close()
        super().graceful_shutdown(timeout)

    def cleanup_host(self) -> None:
        """Start nothing from now on, and end."""
        self.throttle.close()
        self._chores.stop()
        super().cleanup_host()

    def _cleanup_live_migrations_in_pool(self) -> None:
        error = exception.ServiceStopping()
        for request in self.throttle.waiting():
            job = self._jobs.of_migration(request.migration_uuid)
            if job is not None and request.ticket.cancel():
                self._leave(job, 'cancelled', error)
        self._waiting_live_migrations.clear()

    # From the RPC request to admission

    @nova_manager.wrap_exception()
    def live_migration(
        self,
        context: Any,
        dest: str,
        instance: Any,
        block_migration: Any,
        migration: Any,
        migrate_data: Any,
    ) -> None:
        """Queue a live migration and return at once.

        A request that can't be accepted leaves with nothing held; whoever
        asked is not waiting for an exception.
        """
        job = job_lib.Job(
            context,
            dest,
            instance,
            block_migration,
            migration,
            migrate_data,
            gates=(SOURCE,),
            on_over=self._finish,
        )
        try:
            self._jobs.add(job)
        except exception.DuplicateRequest as error:
            # A message that came twice must not disturb the first.
            LOG.warning('Ignored: %s', error, instance=instance)
            return
        try:
            self._accept(job)
        except Exception as error:
            self._leave(job, 'error', error)

    def _accept(self, job: job_lib.Job) -> None:
        # Nova's own table: its code finds and cancels the ticket there.
        self._waiting_live_migrations[job.instance.uuid] = (
            job.migration,
            job.request.ticket,
        )
        event.start(self.host, job)
        self._set_migration_status(job.migration, 'queued')
        self.throttle.submit(job.request)

    def _start(self, request: request_lib.Request) -> None:
        """Start an admitted request; called by the controller."""
        job = self._jobs.of_migration(request.migration_uuid)
        assert job is not None  # it leaves the table after the throttle
        job.task_key = self._record_task_start(
            'live_migration', job.instance.uuid, job.context.request_id
        )
        try:
            compat.spawn_n(
                job.context, job.migration.uuid, self._migrate, job
            )
        except Exception as error:
            self._record_task_end(job.task_key, failed=True)
            self._leave(job, 'error', error)
            raise

    # From admission to the end

    def _migrate(self, job: job_lib.Job) -> None:
        """Do an admitted live migration, on a thread of its own."""
        error: BaseException | None = None
        try:
            job.enter(job_lib.Phase.PREPARING)
            self._do_live_migration(
                job.context,
                job.dest,
                job.instance,
                job.block_migration,
                job.migration,
                job.migrate_data,
            )
        except exception.MigrationAborted as aborted:
            error = aborted
            self._undo(job, 'cancelled', aborted)
            self._notify_live_migrate_abort_end(job.context, job.instance)
        except Exception as raised:
            error = raised
            LOG.exception('Live migration failed', instance=job.instance)
            if job.phase is not job_lib.Phase.IN_DRIVER:
                self._undo(job, 'error', raised)
        finally:
            job.returned(error)

    def _do_pre_live_migration_from_source(
        self,
        context: Any,
        dest: str,
        instance: Any,
        block_migration: Any,
        migration: Any,
        migrate_data: Any,
        source_bdms: Any,
    ) -> Any:
        job = self._jobs.of_migration(migration.uuid)
        if job is not None:
            job.enter(job_lib.Phase.PREPARING)
            job.source_bdms = source_bdms
        migrate_data = super()._do_pre_live_migration_from_source(
            context,
            dest,
            instance,
            block_migration,
            migration,
            migrate_data,
            source_bdms,
        )
        if job is not None:
            job.prepared(migrate_data)
        return migrate_data

    def _set_migration_status(self, migration: Any, status: str) -> None:
        super()._set_migration_status(migration, status)
        if status == 'running':
            # The last step before the driver.
            job = self._jobs.of_migration(migration.uuid)
            if job is not None:
                job.enter(job_lib.Phase.IN_DRIVER)

    def _post_live_migration_update_host(
        self, ctxt: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        with self._callback(instance):
            return super()._post_live_migration_update_host(
                ctxt, instance, *args, **kwargs
            )

    def _rollback_live_migration(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        with self._callback(instance):
            return super()._rollback_live_migration(
                context, instance, *args, **kwargs
            )

    def _callback(self, instance: Any) -> Any:
        job = self._jobs.of_instance(instance.uuid)
        return contextlib.nullcontext() if job is None else job.callback()

    def _finish(self, job: job_lib.Job) -> None:
        """Give the slots back; called once, when the migration is over."""
        self._forget(job)
        self.throttle.finish(job.migration.uuid, job.error)
        if job.error and job.migration.status not in compat.FINAL_STATUSES:
            self._fail(job)
        event.finish(job)
        self._record_task_end(
            job.task_key, failed=job.migration.status != 'completed'
        )

    # Ways out other than through the driver

    def _undo(
        self, job: job_lib.Job, status: str, error: BaseException
    ) -> None:
        """Roll an admitted job back that did not reach the driver."""
        if job.called_back:
            return  # Nova did it, when the destination failed to prepare
        if job.phase is not job_lib.Phase.PREPARED:
            leaving.leave(self, job, status, error)
            return
        job.migrate_data.migration = job.migration
        self._rollback_live_migration(
            job.context,
            job.instance,
            job.dest,
            job.migrate_data,
            status,
            source_bdms=job.source_bdms,
        )

    def _fail(self, job: job_lib.Job) -> None:
        """Do what Nova does when it is too late to roll back.

        Nova does it itself for a driver that raises; this is for a late
        callback, whose error no code of Nova's sees.
        """
        self._set_migration_status(job.migration, 'error')
        job.instance.refresh()
        self._set_instance_obj_error_state(
            job.instance, clean_task_state=True
        )

    def _leave(
        self, job: job_lib.Job, status: str, error: BaseException
    ) -> None:
        """Take a job out that never started."""
        job.error = error
        leaving.leave(self, job, status, error)
        self._forget(job)
        event.finish(job)

    def _forget(self, job: job_lib.Job) -> None:
        self._jobs.remove(job)
        entry = self._waiting_live_migrations.get(job.instance.uuid)
        if entry is not None and entry[1] is job.request.ticket:
            self._waiting_live_migrations.pop(job.instance.uuid, None)

    @nova_manager.wrap_exception()
    @nova_manager.wrap_instance_event(prefix='compute')
    @nova_manager.wrap_instance_fault
    def live_migration_abort(
        self, context: Any, instance: Any, migration_id: int
    ) -> None:
        """Abort a live migration that is queued, prepares or runs."""
        job = self._jobs.of_instance(instance.uuid)
        if job is None or job.migration.id != migration_id:
            abort.by_nova(self, context, instance, migration_id)
        elif job.request.ticket.cancel():
            with abort.notified(self, job):
                self._leave(
                    job,
                    'cancelled',
                    exception.MigrationAborted(instance_uuid=instance.uuid),
                )
        elif job.request_abort():
            # What prepares rolls back when it finds its entry gone, or at
            # the last step before the driver.
            abort.notify_start(self, job)
            self._waiting_live_migrations.pop(instance.uuid, None)
        else:
            abort.by_nova(self, context, instance, migration_id)

    # Chores

    def _find_lost_owners(self, context: Any) -> None:
        """Free slots whose driver never said that it was done."""
        for job in self._jobs.awaiting_callback():
            record = objects.Migration.get_by_id(context, job.migration.id)
            if record.status in compat.FINAL_STATUSES:
                LOG.warning(
                    'The driver never reported the end of live migration '
                    '%(uuid)s, which is %(status)s: its slot is freed',
                    {'uuid': record.uuid, 'status': record.status},
                    instance=job.instance,
                )
                job.found_over(record)
