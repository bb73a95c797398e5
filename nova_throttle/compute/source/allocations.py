# SPDX-License-Identifier: Apache-2.0


"""The allocations of a server that migrates, put right from facts.

The migration holds those of the source, the server those of the destination:
before it is prepared, and until it is on one of the two. What an audit of
Placement took away meanwhile is allocated again, or the request leaves.
"""

from typing import Any

from nova import exception as nova_exception
from nova import objects
from nova.scheduler import utils as scheduler_utils
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception

LOG = logging.getLogger(__name__)

# By resource provider, as Placement has them.
Allocations = dict[str, Any]


def are_complete(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> bool:
    """Tell whether a request has all that it needs to be prepared."""
    client, context = manager.reportclient, migration.context
    return bool(
        _of(client, context, migration.record.uuid)
        and _of(client, context, migration.instance.uuid)
    )


def restore(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """Allocate again what a request lacks before it is prepared.

    :raises AllocationLost: if it can't be had again.
    """
    client = manager.reportclient
    held = _of(client, migration.context, migration.record.uuid)
    claimed = _of(client, migration.context, migration.instance.uuid)
    if held and claimed:
        return
    LOG.warning(
        'Placement has lost the allocations of live migration %s, perhaps '
        'to an audit: they are made again',
        migration.record.uuid,
        instance=migration.instance,
    )
    resources = _resources(migration.instance, held or claimed)
    if not held:
        node = _source_node(migration.context, migration.record)
        _allocate(manager, migration, migration.record.uuid, node, resources)
    if not claimed:
        node = _destination_node(migration.context, migration.record)
        _allocate(manager, migration, migration.instance.uuid, node, resources)


def keep(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    migration: border.MigrationRecord,
) -> None:
    """See that a server that has arrived has allocations there.

    Called while the migration still has those of the source. That it has none
    is seen first: a newer migration takes them once there is its record.
    """
    client = manager.reportclient
    held = _of(client, context, migration.uuid)
    if not held or _of(client, context, instance.uuid):
        return
    standing = present.read(context, migration)
    if not standing.rests_on(migration.dest_compute):
        return
    try:
        node = _destination_node(context, migration)
        resources = _resources(instance, held)
        _put(client, context, instance, instance.uuid, node, resources)
    except Exception:
        LOG.exception(
            'The server runs on %s and has no allocations there: correct '
            'that with nova-manage placement heal_allocations',
            migration.dest_compute,
            instance=instance,
        )


def revert(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    instance: border.Instance,
) -> None:
    """Give the server what its migration holds of the source.

    What an attempt before has reverted stays so.
    """
    client, context = manager.reportclient, migration.context
    uuid = migration.record.uuid
    held = _of(client, context, uuid)
    if held:
        _move(client, context, instance, uuid, instance.uuid, held)
        return
    node = _source_node(context, migration.record)
    claimed = _of(client, context, migration.instance.uuid)
    if node not in claimed:
        resources = _resources(instance, claimed)
        _allocate(manager, migration, migration.instance.uuid, node, resources)


def pass_on(
    manager: border.Manager,
    context: border.Context,
    standing: present.Standing,
) -> None:
    """Leave a migration that is over no allocations of its own.

    Whoever has the server on the source now gets them, if he lacks them.
    """
    client, uuid = manager.reportclient, standing.migration.uuid
    held = _of(client, context, uuid)
    heir = standing.heir
    if heir and held and not held.keys() & _of(client, context, heir).keys():
        _move(client, context, standing.instance, uuid, heir, held)
    elif held:
        _drop(client, context, uuid, 'migration')


def leave_deleted(
    manager: border.Manager,
    context: border.Context,
    standing: present.Standing,
) -> None:
    """Delete what a rollback gave a server while it was being deleted."""
    if standing.instance is None:
        uuid = standing.migration.instance_uuid
        _drop(manager.reportclient, context, uuid, 'instance')


def _move(
    client: border.ReportClient,
    context: border.Context,
    instance: border.Instance,
    migration_uuid: str,
    heir: str,
    held: Allocations,
) -> None:
    """Give what a migration of a server has to another consumer.

    :param held: what it has.
    """
    try:
        _check(client.move_allocations(context, migration_uuid, heir), heir)
    except nova_exception.AllocationMoveFailed:
        if _of(client, context, heir):
            raise
        _check(_write(client, context, instance, heir, held), heir)
        _drop(client, context, migration_uuid, 'migration')


def _drop(
    client: border.ReportClient,
    context: border.Context,
    uuid: str,
    consumer_type: str,
) -> None:
    client.delete_allocation_for_instance(
        context, uuid, consumer_type=consumer_type, force=False
    )


def leave_destination(
    manager: border.Manager,
    context: border.Context,
    standing: present.Standing,
) -> None:
    """Delete what a server elsewhere still has of the destination."""
    client, migration = manager.reportclient, standing.migration
    if standing.instance is None or standing.uses(migration.dest_compute):
        return
    try:
        node = _destination_node(context, migration)
    except nova_exception.ComputeHostNotFound:
        return
    uuid = standing.instance.uuid
    if node in _of(client, context, uuid):
        _check(
            client.remove_provider_tree_from_instance_allocation(
                context, uuid, node
            ),
            uuid,
        )


def _check(done: bool, consumer: str) -> None:
    # Nova's client says so where it does not raise.
    if not done:
        raise exception.AllocationRefused(consumer_uuid=consumer)


def _of(
    client: border.ReportClient, context: border.Context, consumer: str
) -> Allocations:
    """Return what a consumer has; unlike Nova's, not nothing on a failure."""
    found: Allocations = client.get_allocs_for_consumer(context, consumer)[
        'allocations'
    ]
    return found


def _source_node(
    context: border.Context, migration: border.MigrationRecord
) -> str:
    return _node(context, migration.source_compute, migration.source_node)


def _destination_node(
    context: border.Context, migration: border.MigrationRecord
) -> str:
    return _node(context, migration.dest_compute, migration.dest_node)


def _node(context: border.Context, host: str, name: str | None) -> str:
    nodes = objects.ComputeNode
    if name is None:
        # Of a record that was purged. A host with libvirt has one node.
        node = nodes.get_first_node_by_host_for_old_compat(context, host)
    else:
        node = nodes.get_by_host_and_nodename(context, host, name)
    uuid: str = node.uuid
    return uuid


def _resources(
    instance: border.Instance, allocations: Allocations
) -> dict[str, int]:
    """Return the resources of a server, for the other of its hosts.

    :raises AllocationLost: if they are spread over several providers: how,
        on another host, only the scheduler can tell.
    """
    if len(allocations) > 1:
        raise exception.AllocationLost(
            instance_uuid=instance.uuid,
            reason='they are of several resource providers',
        )
    for found in allocations.values():
        resources: dict[str, int] = found['resources']
        return resources
    flavors: dict[str, int] = scheduler_utils.resources_from_flavor(
        instance, instance.flavor
    )
    return flavors


def _allocate(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    consumer: str,
    node: str,
    resources: dict[str, int],
) -> None:
    client, instance = manager.reportclient, migration.instance
    if not _put(
        client, migration.context, instance, consumer, node, resources
    ):
        raise exception.AllocationLost(
            instance_uuid=instance.uuid, reason='there is no room any more'
        )


def _put(
    client: border.ReportClient,
    context: border.Context,
    instance: border.Instance,
    consumer: str,
    node: str,
    resources: dict[str, int],
) -> bool:
    """Make these the only allocations of a consumer."""
    allocations = {node: {'resources': resources}}
    return _write(client, context, instance, consumer, allocations)


def _write(
    client: border.ReportClient,
    context: border.Context,
    instance: border.Instance,
    consumer: str,
    allocations: Allocations,
) -> bool:
    """Make these the only allocations of a consumer.

    A Placement that was killed while it made the consumer may have kept it
    without allocations. It refuses then whatever does not name its
    generation, which is 0, and which it tells nobody.
    """
    found = client.get_allocs_for_consumer(context, consumer)
    payload = {
        'allocations': {
            node: {'resources': held['resources']}
            for node, held in allocations.items()
        },
        'project_id': instance.project_id,
        'user_id': instance.user_id,
        'consumer_generation': found.get('consumer_generation'),
    }
    try:
        return bool(client.put_allocations(context, consumer, payload))
    except nova_exception.AllocationUpdateFailed:
        if found['allocations']:
            raise
        payload['consumer_generation'] = 0
        return bool(client.put_allocations(context, consumer, payload))
