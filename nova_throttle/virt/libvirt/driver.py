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

"""A LibvirtDriver whose live migration is over when it returns.

A rolled-back migration ends as what it is, whatever the call to libvirt
raised; and no live migration keeps a thread of Nova's bounded pool.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
from typing import Any

from nova import exception
from nova.virt.libvirt import driver

from nova_throttle.compute import compat
from nova_throttle.virt.libvirt import operation as operation_lib

# Seconds that an abort waits for a migration that Nova calls running but
# whose driver call has not begun: a few instructions in the manager.
ABORT_PATIENCE = 2.0


class ThrottledLibvirtDriver(driver.LibvirtDriver):
    """Nova's libvirt driver, synchronous in its live migration."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._operations: dict[str, operation_lib.Operation] = {}
        self._operations_changed = threading.Condition()

    def live_migration(
        self,
        context: Any,
        instance: Any,
        dest: str,
        post_method: Callable[..., Any],
        recover_method: Callable[..., Any],
        block_migration: bool = False,
        migrate_data: Any = None,
    ) -> None:
        """Migrate, and return when it is over.

        Returns normally also after an abort or a failure that was rolled
        back: since 32.2 Nova's driver would raise then, and its manager put
        a healthy server into ERROR.
        """
        # By key: Nova's own unit tests of a driver have dictionaries.
        with self._operation(instance['uuid']) as operation:

            def recover(*args: Any, **kwargs: Any) -> Any:
                if operation.abort_requested:
                    # libvirt shows most aborts as a mere failure.
                    kwargs['migration_status'] = 'cancelled'
                return recover_method(*args, **kwargs)

            super().live_migration(
                context,
                instance,
                dest,
                post_method,
                recover,
                block_migration,
                migrate_data,
            )

    @contextlib.contextmanager
    def _operation(
        self, instance_uuid: str
    ) -> Iterator[operation_lib.Operation]:
        operation = operation_lib.Operation(instance_uuid)
        with self._operations_changed:
            self._operations[instance_uuid] = operation
            self._operations_changed.notify_all()
        try:
            yield operation
        finally:
            operation.join()
            with self._operations_changed:
                del self._operations[instance_uuid]

    def _live_migration_operation(
        self, context: Any, instance: Any, *args: Any
    ) -> None:
        """Move on from a thread of Nova's default pool to one of our own.

        The pool has ten threads by default, and a migration would hold one
        to its end.
        """
        call = super()._live_migration_operation
        operation = self._operations.get(instance['uuid'])
        if operation is None:
            # Not of a live_migration() of ours: whoever calls it waits.
            call(context, instance, *args)
            return
        try:
            compat.spawn_n(
                context,
                f'libvirt-{operation.instance_uuid}',
                operation.run,
                lambda: call(context, instance, *args),
            )
        except Exception as error:
            failure = error

            def fail() -> None:
                raise failure

            operation.run(fail)

    def _live_migration_monitor(
        self,
        context: Any,
        instance: Any,
        guest: Any,
        dest: str,
        post_method: Callable[..., Any],
        recover_method: Callable[..., Any],
        block_migration: bool,
        migrate_data: Any,
        finish: Any,
        disk_paths: Any,
    ) -> None:
        """Watch the real call, not the hop through Nova's pool."""
        monitor = super()._live_migration_monitor
        operation = self._operations.get(instance['uuid'])
        if operation is not None:
            finish = compat.for_monitor(monitor, operation.future)
        monitor(
            context,
            instance,
            guest,
            dest,
            post_method,
            recover_method,
            block_migration,
            migrate_data,
            finish,
            disk_paths,
        )

    def live_migration_abort(self, instance: Any) -> None:
        """Abort a migration, also one that is only about to begin.

        :raises libvirtError: if libvirt refuses, or nothing migrates.
        """

        def abort_job() -> None:
            super(ThrottledLibvirtDriver, self).live_migration_abort(instance)

        def has_job() -> bool:
            info = self._host.get_guest(instance).get_job_info()
            return bool(info.type != driver.libvirt.VIR_DOMAIN_JOB_NONE)

        operation = self._operations.get(instance['uuid'])
        if operation is None:
            try:
                return abort_job()
            except driver.libvirt.libvirtError:
                with self._operations_changed:
                    self._operations_changed.wait_for(
                        lambda: instance['uuid'] in self._operations,
                        ABORT_PATIENCE,
                    )
                    operation = self._operations.get(instance['uuid'])
                if operation is None:
                    raise
        operation.abort(abort_job, has_job)

    def end_live_migration(self, instance: Any) -> str:
        """End a migration that began before nova-compute was restarted.

        libvirt goes on with it alone. One that still runs is aborted.

        :returns: ``completed`` or ``failed``.
        :raises libvirtError: if libvirt will not abort.
        """
        tick = threading.Event()
        outcome = self._outcome(instance)
        if outcome == 'running':
            super().live_migration_abort(instance)
        while outcome == 'running':
            tick.wait(operation_lib.RETRY_INTERVAL)
            outcome = self._outcome(instance)
        return outcome

    def _outcome(self, instance: Any) -> str:
        libvirt = driver.libvirt
        try:
            guest = self._host.get_guest(instance)
            job = guest.get_job_info().type
            active = guest.is_active()
        except exception.InstanceNotFound:
            return 'completed'  # libvirt undefines it at the source
        if job in (
            libvirt.VIR_DOMAIN_JOB_BOUNDED,
            libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
        ):
            return 'running'
        done = job == libvirt.VIR_DOMAIN_JOB_COMPLETED
        return 'completed' if done or not active else 'failed'
