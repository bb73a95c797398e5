# SPDX-License-Identifier: Apache-2.0

"""Undo what a destination prepared, and keep what the request holds.

After it the migration can be prepared again, as if it had never been: its
allocations stay, and its ports are bound to the destination anew.
"""

from nova.conductor.tasks import live_migrate
from nova import objects

from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import volumes


def undo(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> bool:
    """Undo the preparation of a migration.

    :param manager: the compute manager of the source host.
    :param migration: a migration that was interrupted while it prepared.
    :returns: False if nothing was done, because its devices were claimed
        on the destination and only the scheduler could claim them again.
    """
    if has_claims(migration):
        return False
    _give_volumes_back(manager, migration)
    cleans, destroys = manager._live_migration_cleanup_flags(
        migration.migrate_data, migr_ctxt=migration.instance.migration_context
    )
    if cleans:
        compat.rollback_at_destination(
            manager,
            migration.context,
            migration.instance,
            migration.destination,
            destroys,
            migration.migrate_data,
        )
        _bind_ports(manager, migration)
    return True


def has_claims(migration: migration_lib.LiveMigration) -> bool:
    """Tell whether devices of a host were claimed for a migration."""
    data = migration.migrate_data
    requests = migration.instance.pci_requests
    return (
        data is None
        or ('dst_numa_info' in data and data.dst_numa_info is not None)
        or bool(requests and requests.requests)
    )


def _give_volumes_back(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    context, instance = migration.context, migration.instance
    volumes.settle(manager, migration)
    bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(
        context, instance.uuid
    )
    attached = [bdm for bdm in bdms if bdm.is_volume]
    manager._remove_remote_volume_connections(
        context, migration.destination, attached, instance
    )
    manager._rollback_volume_bdms(
        context, attached, migration.source_bdms, instance
    )
    volumes.check_returned(migration)


def _bind_ports(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """Bind the ports to the destination again: its rollback unbound them."""
    data = migration.migrate_data
    if 'vifs' not in data or not data.vifs:
        return
    bindings = manager.network_api.bind_ports_to_host(
        migration.context,
        migration.instance,
        migration.destination,
        port_profiles={
            vif.port_id: vif.profile
            for vif in data.vifs
            if 'profile_json' in vif and vif.profile_json
        },
    )
    # It uses nothing of its task.
    live_migrate.LiveMigrationTask._update_migrate_vifs_from_bindings(
        None, data.vifs, bindings
    )
