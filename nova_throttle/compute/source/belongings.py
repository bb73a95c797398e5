# SPDX-License-Identifier: Apache-2.0


"""What is a migration's own, given back whoever has its server by now.

Its allocations, those of its server on a destination that the server has
nothing to do with, and port bindings there. Each step may be done twice.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import functools
from typing import Any

from nova import context as nova_context
from nova import exception as nova_exception

from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute.source import allocations
from nova_throttle.compute.source import migration as migration_lib

Step = Callable[[], object]


def steps(
    manager: border.Manager,
    context: border.Context,
    migration: border.MigrationRecord,
    migrate_data: border.MigrateData,
    ask: Callable[[], present.Standing],
) -> Iterator[Step]:
    """Give back what a migration holds that is not its server's any more.

    :param manager: the compute manager of one of its two hosts.
    :param migrate_data: what is known of the server's ports.
    :param ask: whose the server is; asked by each step.
    """
    for release in (
        allocations.pass_on,
        allocations.leave_destination,
        allocations.leave_deleted,
    ):
        yield functools.partial(_release, release, manager, context, ask)
    for host in (migration.source_compute, migration.dest_compute):
        if host:
            yield functools.partial(
                _drop_bindings, manager, ask, migrate_data, host
            )


def undo(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    standing: present.Standing,
) -> None:
    """Have the destination undo what it prepared for a server elsewhere.

    Once: it may refuse, for a server that was deleted.
    """
    if standing.uses(migration.destination):
        return
    cleans, destroys = manager._live_migration_cleanup_flags(
        migration.migrate_data, migr_ctxt=None
    )
    migration.undone()
    if cleans:
        manager.compute_rpcapi.rollback_live_migration_at_destination(
            migration.context,
            migration.instance,
            migration.destination,
            destroy_disks=destroys,
            migrate_data=migration.migrate_data,
        )


def _release(
    release: Callable[[Any, Any, present.Standing], None],
    manager: border.Manager,
    context: border.Context,
    ask: Callable[[], present.Standing],
) -> None:
    release(manager, context, ask())


def _drop_bindings(
    manager: border.Manager,
    ask: Callable[[], present.Standing],
    migrate_data: border.MigrateData,
    host: str,
) -> None:
    """Delete the inactive port bindings of a host, if nobody needs them."""
    standing = ask()
    if standing.uses(host):
        return
    # As administrator: to a user, Neutron does not show the binding.
    context = nova_context.get_admin_context()
    api = manager.network_api
    ports = _ports(api, context, standing, migrate_data)
    delete_inactive(api, context, ports, host)


def delete_inactive(
    api: Any, context: border.Context, ports: Iterable[Any], host: str
) -> None:
    """Delete the bindings of ports on a host where they are not active.

    :param api: Nova's network API.
    :param context: an administrator's.
    :raises PortBindingDeletionFailed: if Neutron will not.
    """
    for port in ports:
        if port.get('binding:host_id') != host:
            api.delete_port_binding(context, port['id'], host)


def _ports(
    api: Any,
    context: border.Context,
    standing: present.Standing,
    migrate_data: border.MigrateData,
) -> Iterator[Any]:
    if standing.instance is not None:
        uuid = standing.instance.uuid
        yield from api.list_ports(context, device_id=uuid)['ports']
    elif migrate_data is not None and 'vifs' in migrate_data:
        for vif in migrate_data.vifs:
            try:
                port = api.show_port(context, vif.port_id)['port']
            except nova_exception.PortNotFound:
                continue
            # By now it may be another server's.
            if not port.get('device_id'):
                yield port
