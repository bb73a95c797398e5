# SPDX-License-Identifier: Apache-2.0

# mypy: disable-error-code="no-untyped-def, override"

"""What of Nova we override or call, as Nova writes it.

Only names and arguments matter here: interface compares them with the Nova
that is there. An annotation is what an object has from its beginning. The
base class of a stub has the forms of other releases.
"""

from collections.abc import Callable
import functools
from typing import Any
from typing import TypeVar

Stub = Callable[..., Any]
T = TypeVar('T', bound=Stub)

# By the path of what the stub stands for. An override knows all of Nova's
# arguments, or hands on *args and **kwargs; what we call may have more that
# have defaults.
OVERRIDDEN: dict[str, Stub] = {}
CALLED: dict[str, Stub] = {}

# What may be missing; compat looks then.
OPTIONAL: set[Stub] = set()

# Looked up, but not called.
NAMES = ('nova.service:SERVICE_MANAGERS', 'nova.virt.libvirt:LibvirtDriver')


def optional(stub: T) -> T:
    """Mark the stub of what may be missing."""
    OPTIONAL.add(stub)
    return stub


def _enter(
    table: dict[str, Stub], module: str, name: str = ''
) -> Callable[[T], T]:
    def enter(stub: T) -> T:
        table[f'{module}:{name or stub.__name__}'] = stub
        return stub

    return enter


overridden = functools.partial(_enter, OVERRIDDEN)
called = functools.partial(_enter, CALLED)

# What follows is to be read beside Nova's, and not one argument a line.
# fmt: off

# Overridden


class ComputeManagerBefore34:
    def init_host(self): ...  # before 27
    def graceful_shutdown(self): ...


@overridden('nova.compute.manager')
class ComputeManager(ComputeManagerBefore34):
    _waiting_live_migrations: Any
    additional_endpoints: Any
    compute_rpcapi: Any
    driver: Any
    host: Any
    network_api: Any
    reportclient: Any
    volume_api: Any

    def init_host(self, service_ref): ...
    def post_start_hook(self): ...
    def reset(self): ...
    def cleanup_host(self): ...
    @optional
    def set_shutdown_in_progress(self): ...
    @optional
    def graceful_shutdown(self, timeout): ...
    def live_migration(
        self, context, dest, instance, block_migration, migration, migrate_data
    ): ...
    def live_migration_abort(self, context, instance, migration_id): ...
    def check_can_live_migrate_destination(
        self, ctxt, instance, block_migration, disk_over_commit, migration,
        limits
    ): ...
    def pre_live_migration(self, context, instance, disk, migrate_data): ...
    def post_live_migration_at_destination(
        self, context, instance, block_migration
    ): ...
    def rollback_live_migration_at_destination(
        self, context, instance, destroy_disks, migrate_data
    ): ...
    def _cleanup_live_migrations_in_pool(self): ...
    def _delete_allocation_after_move(self, context, instance, migration): ...
    def _do_pre_live_migration_from_source(
        self, context, dest, instance, block_migration, migration,
        migrate_data, source_bdms
    ): ...
    def _post_live_migration(
        self, ctxt, instance, dest, block_migration, migrate_data, source_bdms,
        *args, **kwargs
    ): ...
    def _post_live_migration_update_host(
        self, ctxt, instance, dest, block_migration, migrate_data, source_bdms
    ): ...
    def _post_live_migration_remove_source_vol_connections(
        self, context, instance, source_bdms
    ): ...
    def _rollback_live_migration(
        self, context, instance, dest, migrate_data, migration_status,
        source_bdms, *args, **kwargs
    ): ...
    def _reset_live_migration(self, context, instance): ...
    @staticmethod
    def _set_migration_status(migration, status): ...


class LibvirtDriverBefore32:
    def _live_migration_monitor(
        self, context, instance, guest, dest, post_method, recover_method,
        block_migration, migrate_data, finish_event, disk_paths
    ): ...


@overridden('nova.virt.libvirt.driver')
class LibvirtDriver(LibvirtDriverBefore32):
    _host: Any

    def live_migration(
        self, context, instance, dest, post_method, recover_method,
        block_migration, migrate_data
    ): ...
    def live_migration_abort(self, instance): ...
    def live_migration_force_complete(self, instance): ...
    def rollback_live_migration_at_source(
        self, context, instance, migrate_data
    ): ...
    def _live_migration_operation(
        self, context, instance, dest, block_migration, migrate_data, guest,
        device_names, *args, **kwargs
    ): ...
    def _live_migration_monitor(
        self, context, instance, guest, dest, post_method, recover_method,
        block_migration, migrate_data, future, disk_paths
    ): ...


@overridden('nova.virt.libvirt.guest')
class Guest:
    _domain: Any

    def __init__(self, domain): ...
    def get_job_info(self): ...
    def migrate(
        self, destination, migrate_uri, migrate_disks, destination_xml, flags,
        bandwidth, *args, **kwargs
    ): ...
    def migrate_start_postcopy(self): ...


@overridden('nova.virt.libvirt.host')
class Host:
    _wrapped_conn: Any
    _wrapped_conn_lock: Any

    def _close_callback(self, conn, reason, opaque): ...


# Called


@called('nova.compute.manager', 'ComputeManager')
class ComputeManagersOwn:
    @optional
    def _record_task_start(self, task_name, instance_uuid, request_id): ...
    @optional
    def _record_task_end(self, key, future, failed): ...
    @optional
    def _end_pending_dest_live_migration_task(self, instance_uuid): ...
    def _do_live_migration(
        self, context, dest, instance, block_migration, migration, migrate_data
    ): ...
    def _live_migration_cleanup_flags(self, migrate_data, migr_ctxt): ...
    def _notify_about_instance_usage(
        self, context, instance, event_suffix
    ): ...
    def _notify_live_migrate_abort_end(self, context, instance): ...
    def _remove_remote_volume_connections(
        self, context, dest, bdms, instance
    ): ...
    def _revert_allocation(self, context, instance, migration): ...
    def _rollback_volume_bdms(
        self, context, bdms, original_bdms, instance
    ): ...
    def _set_instance_obj_error_state(self, instance, clean_task_state): ...


@called('nova.virt.libvirt.driver', 'LibvirtDriver')
class LibvirtDriversOwn:
    def cleanup(
        self, context, instance, network_info, block_device_info,
        destroy_disks, migrate_data, destroy_vifs
    ): ...
    def get_info(self, instance): ...
    def post_live_migration(
        self, context, instance, block_device_info, migrate_data
    ): ...
    def unplug_vifs(self, instance, network_info): ...
    @optional
    def _add_vtpm_secret_to_live_migrate_data(
        self, instance, dest_check_data
    ): ...


@called('nova.virt.libvirt.host', 'Host')
class HostsOwn:
    def get_guest(self, instance): ...


@called('nova.virt.libvirt.guest', 'Guest')
class GuestsOwn:
    def has_persistent_configuration(self): ...


@called('nova.compute.utils')
class EventReporter:
    def __init__(self, context, event_name, host, *instance_uuids): ...
    def __enter__(self): ...
    def __exit__(self, exc_type, exc_val, exc_tb): ...


@called('nova.compute.rpcapi')
class ComputeAPI:
    router: Any

    @optional
    def prepare_for_alt_rpcserver(self, client, server, version, **kwargs): ...
    def _ver(self, ctxt, old): ...
    def drop_move_claim_at_destination(self, ctxt, instance, host): ...
    def get_instance_diagnostics(self, ctxt, instance): ...
    def rollback_live_migration_at_destination(
        self, ctxt, instance, host, destroy_disks, migrate_data
    ): ...


@called('nova.network.neutron', 'API')
class Neutron:
    def bind_ports_to_host(
        self, context, instance, host, vnic_types, port_profiles
    ): ...
    def delete_port_binding(self, context, port_id, host): ...
    def list_ports(self, context, **search_opts): ...
    def setup_networks_on_host(self, context, instance, host, teardown): ...
    def show_port(self, context, port_id): ...


@called('nova.volume.cinder', 'API')
class Volumes:
    # As Nova's decorator has them.
    def attachment_delete(self, ctx, attachment_id): ...
    def attachment_get(self, ctx, attachment_id): ...


@called('nova.scheduler.client.report')
class SchedulerReportClient:
    def delete_allocation_for_instance(
        self, context, uuid, consumer_type, force
    ): ...
    def get_allocs_for_consumer(self, context, consumer): ...
    def move_allocations(
        self, context, source_consumer_uuid, target_consumer_uuid
    ): ...
    def put_allocations(self, context, consumer_uuid, payload): ...
    def remove_provider_tree_from_instance_allocation(
        self, context, consumer_uuid, root_rp_uuid
    ): ...


@called('nova.conductor.tasks.live_migrate')
class LiveMigrationTask:
    def _update_migrate_vifs_from_bindings(self, migrate_vifs, bindings): ...


@called('nova.servicegroup.api', 'API')
class ServiceGroup:
    def service_is_up(self, member): ...


@called('nova.compute.manager')
def wrap_exception(): ...
@called('nova.compute.manager')
def wrap_instance_event(prefix): ...
@called('nova.compute.manager')
def wrap_instance_fault(function): ...
@called('nova.compute.utils')
def add_instance_fault_from_exc(
    context, instance, fault, exc_info, fault_message
): ...
@called('nova.compute.utils')
def notify_about_instance_action(context, instance, host, action, phase): ...
@called('nova.scheduler.utils')
def resources_from_flavor(instance, flavor): ...
@called('nova.context')
def get_admin_context(): ...
@called('nova.rpc')
def get_client(target): ...
@called('nova.rpc')
def get_versioned_notifier(publisher_id): ...
@called('nova.rpc')
def if_notifications_enabled(f): ...
@called('nova.safe_utils')
def get_wrapped_function(function): ...
@called('nova.version')
def version_string(): ...
