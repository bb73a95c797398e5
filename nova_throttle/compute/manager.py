# SPDX-License-Identifier: Apache-2.0

"""A ComputeManager that asks before it starts a live migration.

It only translates between Nova and the parts of this host. Every public method
is one of Nova's, so the RPC interface of the service is unchanged.
"""

import functools
from typing import Any

from nova.compute import manager as nova_manager

from nova_throttle.agreement import controller
from nova_throttle.compute import action_event
from nova_throttle.compute import assembly
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute.destination import arrivals
from nova_throttle.compute.destination import decline
from nova_throttle.compute.destination import late_post
from nova_throttle.compute.destination import undo
from nova_throttle.compute import housekeeping
from nova_throttle.compute import limits
from nova_throttle.compute import monitoring
from nova_throttle.compute import serving
from nova_throttle.compute.source import abort
from nova_throttle.compute.source import allocations
from nova_throttle.compute.source import arrival
from nova_throttle.compute.source import recovery
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import vacate
from nova_throttle.compute.source import volumes
from nova_throttle.compute import startup

# What Nova's rollback is given behind the server and its destination.
_OF_A_ROLLBACK = ('migrate_data', 'migration_status', 'source_bdms')


@compat.as_nova_has_it
class ThrottledComputeManager(nova_manager.ComputeManager):
    """Nova's compute manager with gates in front of live migrations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts = assembly.Assembly(self)
        self._recovery = recovery.Recovery(self._parts)
        self._arrivals = arrivals.Arrivals(self, self._parts.negotiation)
        self._undo = undo.Undo(self)
        self._housekeeping = housekeeping.Housekeeping(
            self._parts, self._recovery, self._arrivals, self._undo
        )
        self._monitoring = monitoring.Monitoring(self._parts)
        self.additional_endpoints += serving.endpoints(
            self, self._parts, self._monitoring
        )
        startup.begin(self._parts.journal, self._monitoring)

    @property
    def throttle(self) -> controller.HostController:
        """The admission controller of this host."""
        return self._parts.throttle

    # Start and stop, whose arguments differ between releases

    def init_host(self, *args: Any, **kwargs: Any) -> None:
        """Get ready; a manager that was stopped may start again."""
        startup.begin(self._parts.journal, self._monitoring)
        self._recovery.begin()
        super().init_host(*args, **kwargs)

    def post_start_hook(self) -> None:
        """Begin what runs beside the service."""
        super().post_start_hook()
        self._recovery.open_if_nothing_is_left()
        self._parts.background.start()
        self._parts.negotiation.shared.start()
        self._monitoring.start()
        self._housekeeping.start()

    def _reset_live_migration(
        self, context: border.Context, instance: border.Instance
    ) -> None:
        if not (
            self._recovery.will_deal_with(instance.uuid)
            or self._housekeeping.leftovers.will_deal_with(context, instance)
        ):
            with startup.resetting(instance):
                super()._reset_live_migration(context, instance)

    def reset(self) -> None:
        """Take up a configuration that was reloaded."""
        super().reset()
        limits.take_up(self.throttle)

    def set_shutdown_in_progress(self) -> None:
        """Start nothing from now on; a hook since 34."""
        self._parts.stop()
        super().set_shutdown_in_progress()

    def graceful_shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Start nothing from now on; a hook since 33."""
        self._parts.stop()
        super().graceful_shutdown(*args, **kwargs)

    def cleanup_host(self) -> None:
        """Start nothing from now on, and end."""
        self._parts.stop()
        self._housekeeping.stop()
        self._parts.deferral.stop()
        self._monitoring.stop()
        self._parts.negotiation.shared.stop()
        super().cleanup_host()
        self._parts.background.stop()

    def _cleanup_live_migrations_in_pool(self) -> None:
        """Leave the queue as it is: it goes on after the restart."""
        tickets.withdraw_all(self, self._parts.migrations)
        super()._cleanup_live_migrations_in_pool()

    # A live migration that comes to this host

    def check_can_live_migrate_destination(
        self,
        ctxt: border.Context,
        instance: border.Instance,
        block_migration: border.BlockMigration,
        disk_over_commit: Any,
        migration: border.MigrationRecord,
        limits: Any,
    ) -> Any:
        """Decline, while too many wait, what can as well go elsewhere."""
        decline.check(self.host, self.throttle, migration)
        return super().check_can_live_migrate_destination(
            *(ctxt, instance, block_migration),
            *(disk_over_commit, migration, limits),
        )

    def pre_live_migration(
        self,
        context: border.Context,
        instance: border.Instance,
        disk: Any,
        migrate_data: border.MigrateData,
    ) -> Any:
        """Prepare, and count what comes whoever sends it."""
        self._arrivals.begin(context, instance)
        with vacate.lock(self, instance):
            first = (super().pre_live_migration, context, instance)
            return action_event.handle(*first, disk, migrate_data)

    def post_live_migration_at_destination(
        self,
        context: border.Context,
        instance: border.Instance,
        block_migration: border.BlockMigration,
    ) -> Any:
        """Finish here what came."""
        try:
            with late_post.made_ready(self, context, instance) as is_left:
                if not is_left:
                    return None
                result = action_event.handle(
                    super().post_live_migration_at_destination,
                    *(context, instance, block_migration),
                )
            self._monitoring.observe_arrival(instance)
            return result
        finally:
            self._arrivals.end(instance.uuid)

    def rollback_live_migration_at_destination(
        self,
        context: border.Context,
        instance: border.Instance,
        destroy_disks: Any,
        migrate_data: border.MigrateData,
    ) -> Any:
        """Undo here what was prepared."""
        try:
            return self._undo.run(
                super().rollback_live_migration_at_destination,
                *(context, instance, destroy_disks, migrate_data),
            )
        finally:
            self._arrivals.end(instance.uuid)

    # A live migration that leaves this host

    @nova_manager.wrap_exception()
    def live_migration(
        self,
        context: border.Context,
        dest: str,
        instance: border.Instance,
        block_migration: border.BlockMigration,
        migration: border.MigrationRecord,
        migrate_data: border.MigrateData,
    ) -> None:
        """Queue a live migration and return at once.

        A request that can't be accepted leaves with nothing held; whoever
        asked is not waiting for an exception.
        """
        request = (context, dest, instance, block_migration, migration)
        self._parts.intake.accept(
            self._parts.make_migration(*request, migrate_data)
        )

    def _do_pre_live_migration_from_source(
        self,
        context: border.Context,
        dest: str,
        instance: border.Instance,
        block_migration: border.BlockMigration,
        migration: border.MigrationRecord,
        migrate_data: border.MigrateData,
        source_bdms: border.BlockDevices,
    ) -> Any:
        ours = self._parts.migrations.of_migration(migration.uuid)
        with self._parts.link.preparing():
            if ours is not None:
                self._parts.run.prepare(ours, source_bdms)
            migrate_data = super()._do_pre_live_migration_from_source(
                *(context, dest, instance, block_migration),
                *(migration, migrate_data, source_bdms),
            )
        if ours is not None:
            ours.prepared(migrate_data)
            self._parts.transfer.wait(ours)
        return migrate_data

    def _set_migration_status(
        self, migration: border.MigrationRecord, status: str
    ) -> None:
        ours = None
        if status == 'running':
            # The last step before the driver.
            ours = self._parts.migrations.of_migration(migration.uuid)
        if ours is not None:
            self._parts.run.note_running(ours)
        super()._set_migration_status(migration, status)
        if ours is not None:
            self._parts.run.drive(ours)

    def _post_live_migration(
        self,
        ctxt: border.Context,
        instance: border.Instance,
        dest: str,
        block_migration: border.BlockMigration = False,
        migrate_data: border.MigrateData = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        return self._parts.ending.finish_arrival(
            instance,
            migrate_data,
            functools.partial(
                super()._post_live_migration,
                *(ctxt, instance, dest, block_migration, migrate_data),
                *args,
                **kwargs,
            ),
        )

    def _post_live_migration_remove_source_vol_connections(
        self, context: Any, instance: Any, source_bdms: border.BlockDevices
    ) -> None:
        if self._parts.ending.is_ours(instance):
            source_bdms = volumes.delete_attachments(
                self, context, source_bdms
            )
        super()._post_live_migration_remove_source_vol_connections(
            context, instance, source_bdms
        )

    def _post_live_migration_update_host(
        self,
        ctxt: border.Context,
        instance: border.Instance,
        dest: str,
        block_migration: border.BlockMigration = False,
        migrate_data: border.MigrateData = None,
        source_bdms: border.BlockDevices = None,
    ) -> Any:
        first, last = (ctxt, instance, dest), {'source_bdms': source_bdms}
        return self._parts.ending.end(
            self._parts.ending.migration_of(instance, migrate_data),
            arrival.Verdict.ARRIVED,
            functools.partial(
                super()._post_live_migration_update_host,
                *(*first, block_migration, migrate_data),
                **last,
            ),
            functools.partial(
                super()._rollback_live_migration, *first, migrate_data, **last
            ),
        )

    def _rollback_live_migration(
        self,
        context: border.Context,
        instance: border.Instance,
        dest: str,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        # Handed on as they come: callers give them in different ways.
        given = {**dict(zip(_OF_A_ROLLBACK, args, strict=False)), **kwargs}
        data, first = given.get('migrate_data'), (context, instance, dest)
        ours = self._parts.ending.migration_of(instance, data)
        return self._parts.ending.end(
            ours,
            arrival.Verdict.STAYED,
            functools.partial(
                super()._post_live_migration_update_host,
                *(*first, ours and ours.block_migration, data),
                source_bdms=given.get('source_bdms'),
            ),
            functools.partial(
                super()._rollback_live_migration, *first, *args, **kwargs
            ),
            given.get('migration_status', 'failed'),
        )

    def _delete_allocation_after_move(
        self,
        context: border.Context,
        instance: border.Instance,
        migration: border.MigrationRecord,
    ) -> None:
        # One that was just made does not say what it is.
        if 'migration_type' in migration and migration.is_live_migration:
            allocations.keep(self, context, instance, migration)
        super()._delete_allocation_after_move(context, instance, migration)

    @nova_manager.wrap_exception()
    @nova_manager.wrap_instance_event(prefix='compute')
    @nova_manager.wrap_instance_fault
    def live_migration_abort(
        self,
        context: border.Context,
        instance: border.Instance,
        migration_id: int,
    ) -> None:
        """Abort a live migration that is queued, prepares or runs."""
        abort.abort(self, self._parts, context, instance, migration_id)
