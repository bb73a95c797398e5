# SPDX-License-Identifier: Apache-2.0

"""A LibvirtDriver whose live migration is over when it returns.

A rolled-back migration ends as what it is, whatever the call to libvirt
raised; and no live migration keeps a thread of Nova's bounded pool.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import threading
from typing import Any

from nova.compute import power_state
import nova.conf
from nova import exception
from nova.virt.libvirt import driver
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.transfer import watcher as watcher_lib
from nova_throttle.virt.libvirt import connection
from nova_throttle.virt.libvirt import job
from nova_throttle.virt.libvirt import observer as observer_lib
from nova_throttle.virt.libvirt import operation as operation_lib
from nova_throttle.virt.libvirt import transfer as transfer_lib

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Seconds that an abort waits for a migration that Nova calls running but
# whose driver call has not begun: a few instructions in the manager.
ABORT_PATIENCE = 2.0


class ThrottledLibvirtDriver(driver.LibvirtDriver):
    """Nova's libvirt driver, synchronous in its live migration."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connection.mend(self._host)
        self._operations: dict[str, operation_lib.Operation] = {}
        self._observers: dict[str, observer_lib.Observer] = {}
        self._transfers: dict[str, transfer_lib.Transfer] = {}
        # Aborts that came before the driver call of their migration: set
        # once that has begun, and knows.
        self._early_aborts: dict[str, threading.Event] = {}
        self._operations_lock = threading.Lock()
        self._watcher = watcher_lib.Watcher()

    def watch_transfers(self, watcher: watcher_lib.Watcher) -> None:
        """Have each transfer watched: how fast it may be, and how far it is.

        :param watcher: told of the end when libvirt's call is over, in that
            call's thread, before anything is cleaned up.
        """
        self._watcher = watcher

    may_be_slow = staticmethod(transfer_lib.may_be_slow)

    def live_migration(
        self,
        context: border.Context,
        instance: border.Instance,
        dest: str,
        post_method: Callable[..., Any],
        recover_method: Callable[..., Any],
        block_migration: bool = False,
        migrate_data: border.MigrateData = None,
    ) -> None:
        """Migrate, and return when it is over.

        Returns normally also after an abort or a failure that was rolled
        back: since 32.2 Nova's driver would raise then, and its manager put
        a healthy server into ERROR.
        """
        # By key: Nova's own unit tests of a driver have dictionaries.
        with self._operation(instance['uuid']) as operation:
            observer = observer_lib.Observer(
                operation,
                post_method,
                recover_method,
                # Nobody is left who would end what is slow.
                self._transfers[instance['uuid']].pace.full,
            )
            self._observers[instance['uuid']] = observer
            try:
                super().live_migration(
                    context,
                    instance,
                    dest,
                    observer.post,
                    observer.recover,
                    block_migration,
                    migrate_data,
                )
            except Exception as error:
                # A host without a proper name is refused before all else.
                is_refusal = isinstance(error, exception.InvalidHostname)
                if observer.has_ended or is_refusal:
                    raise
                LOG.exception(
                    'A live migration was not begun, or not watched',
                    instance=instance,
                )
                operation.join()
                observer.end(
                    context, instance, dest, block_migration, migrate_data
                )

    @contextlib.contextmanager
    def _operation(
        self, instance_uuid: str
    ) -> Iterator[operation_lib.Operation]:
        operation = operation_lib.Operation(instance_uuid)
        transfer = self._make_transfer(instance_uuid)

        def end(call: object) -> None:
            transfer.end()
            self._watcher.end(instance_uuid)

        operation.future.add_done_callback(end)
        with self._operations_lock:
            self._operations[instance_uuid] = operation
            self._transfers[instance_uuid] = transfer
            early = self._early_aborts.pop(instance_uuid, None)
            operation.abort_requested = early is not None
        if early is not None:
            early.set()
        try:
            yield operation
        finally:
            operation.join()
            with self._operations_lock:
                del self._operations[instance_uuid]
                del self._transfers[instance_uuid]
                self._observers.pop(instance_uuid, None)

    def _make_transfer(self, instance_uuid: str) -> transfer_lib.Transfer:
        return transfer_lib.Transfer(
            instance_uuid,
            self._watcher.pace_of(instance_uuid),
            functools.partial(self._watcher.note, instance_uuid),
            CONF.libvirt.live_migration_downtime / 1000,
        )

    def _live_migration_operation(
        self,
        context: border.Context,
        instance: border.Instance,
        dest: str,
        block_migration: bool,
        migrate_data: border.MigrateData,
        guest: Any,
        *args: Any,
    ) -> None:
        """Move on from a thread of Nova's default pool to one of our own.

        The pool has ten threads by default, and a migration would hold one
        to its end.
        """
        call = functools.partial(
            super()._live_migration_operation,
            *(context, instance, dest, block_migration, migrate_data),
        )
        operation = self._operations.get(instance['uuid'])
        if operation is None:
            # Not of a live_migration() of ours: whoever calls it waits.
            call(guest, *args)
            return
        watched = self._watched(instance, guest)
        try:
            compat.spawn_n(
                context,
                f'libvirt-{operation.instance_uuid}',
                operation.run,
                lambda: call(watched, *args),
            )
        except Exception as error:
            failure = error

            def fail() -> None:
                raise failure

            operation.run(fail)

    def _live_migration_monitor(
        self,
        context: border.Context,
        instance: border.Instance,
        guest: Any,
        dest: str,
        post_method: Callable[..., Any],
        recover_method: Callable[..., Any],
        block_migration: bool,
        migrate_data: border.MigrateData,
        finish: Any,
        disk_paths: Any,
    ) -> None:
        """Watch the real call, not the hop through Nova's pool."""
        monitor = super()._live_migration_monitor
        operation = self._operations.get(instance['uuid'])
        observer = self._observers.get(instance['uuid'])
        if operation is not None:
            finish = compat.for_monitor(monitor, operation.future)
            guest = self._watched(instance, guest)
        watch = functools.partial(
            monitor,
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
        if observer is None:
            watch()
            return
        observer.watch(
            watch,
            functools.partial(
                observer.end,
                *(context, instance, dest, block_migration, migrate_data),
            ),
        )

    def _watched(self, instance: border.Instance, guest: Any) -> Any:
        return transfer_lib.WatchedGuest(
            guest, self._transfers[instance['uuid']]
        )

    def live_migration_force_complete(self, instance: border.Instance) -> None:
        """Have it come to its end now: nothing slows it any more."""
        super().live_migration_force_complete(instance)
        transfer = self._transfers.get(instance['uuid'])
        if transfer is not None:
            transfer.pace.insist()

    def live_migration_abort(self, instance: border.Instance) -> None:
        """Abort a migration, also one that is only about to begin.

        :raises libvirtError: if libvirt refuses, or nothing migrates.
        """

        def abort_job() -> None:
            super(ThrottledLibvirtDriver, self).live_migration_abort(instance)

        def has_job() -> bool:
            info = self._host.get_guest(instance).get_job_info()
            return bool(info.type != driver.libvirt.VIR_DOMAIN_JOB_NONE)

        with self._operations_lock:
            operation = self._operations.get(instance['uuid'])
            if operation is None:
                early = self._early_aborts[instance['uuid']] = (
                    threading.Event()
                )
        if operation is not None:
            return operation.abort(abort_job, has_job)
        try:
            abort_job()
        except driver.libvirt.libvirtError:
            if not early.wait(ABORT_PATIENCE):
                raise
        finally:
            with self._operations_lock:
                self._early_aborts.pop(instance['uuid'], None)

    def rollback_live_migration_at_source(
        self,
        context: border.Context,
        instance: border.Instance,
        migrate_data: border.MigrateData,
    ) -> None:
        """Attach again what only a guest that is there can have lost."""
        try:
            super().rollback_live_migration_at_source(
                context, instance, migrate_data
            )
        except exception.InstanceNotFound:
            LOG.warning(
                'After a live migration that failed libvirt has no domain of '
                'this instance: a hard reboot makes it again',
                instance=instance,
            )

    def end_live_migration(self, instance: border.Instance) -> None:
        """End a migration that began before nova-compute was restarted.

        libvirt goes on with it alone. One that still runs is aborted; one
        that will not be goes on at full speed.

        :raises StillMigrating: if libvirt will not abort, or is not done
            with it soon.
        """
        job.end(
            self._host,
            instance,
            super().live_migration_abort,
            CONF.libvirt.live_migration_bandwidth,
        )

    def has_migrated(self, instance: border.Instance) -> bool | None:
        """Wait for libvirt's call, and tell whether it has succeeded.

        It alone knows: a domain that is off, or a job that is gone, may as
        well be a guest that was switched off.

        :returns: None if no migration is in this driver.
        """
        operation = self._operations.get(instance['uuid'])
        if operation is None:
            return None
        return operation.has_succeeded()

    def see_guest(self, instance: border.Instance) -> str:
        """Tell what libvirt shows of a guest on this host.

        :returns: a value of compute.sight.Sight.
        :raises InternalError: if libvirt fails or is away.
        """
        try:
            state = self.get_info(instance).state
            if state == power_state.RUNNING:
                return 'runs'
            if state != power_state.PAUSED:
                return 'off'
            guest = self._host.get_guest(instance)
            # libvirt makes it persistent once all of it has come.
            settled = guest.has_persistent_configuration()
        except exception.InstanceNotFound:
            return 'absent'
        return 'paused' if settled else 'moves'

    def has_completed_job(self, instance: border.Instance) -> bool:
        """Tell whether libvirt shows a job of a guest as completed."""
        completed = driver.libvirt.VIR_DOMAIN_JOB_COMPLETED
        return bool(job.kind_of(self._host, instance) == completed)

    def downtime_of(self, instance: border.Instance) -> float | None:
        """Return for how many seconds a guest that came here has paused."""
        return job.downtime(self._host, instance)
