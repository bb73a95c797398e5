# SPDX-License-Identifier: Apache-2.0

"""What a guest left on its source, removed once its server has gone on.

Nova removes it in its post step, which also gives the server to the
destination of that migration: once it has gone on from there, or is deleted,
only the half that concerns the source may still be done.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from nova import context as nova_context
from nova import exception as nova_exception
from nova.network import model as network_model
from nova import objects
from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute import sight
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import volumes

LOG = logging.getLogger(__name__)

# What has left may be defined still.
_NOTHING = (sight.Sight.ABSENT, sight.Sight.OFF)

# Nothing of instance_extra: of a server that was deleted while a host saved it
# there are two rows, which SQLAlchemy warns of.
_ATTRIBUTES = ['info_cache', 'system_metadata']


def vacate(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    ask: Callable[[], present.Standing],
) -> None:
    """Remove what a migration that arrived left on this host; may be repeated.

    Nothing is touched while the server has to do with this host, or while its
    guest is seen here.

    :param manager: the compute manager of the source host.
    :param ask: whose the server is now.
    :raises ServerInTransit: if the server may be about to come here.
    :raises Exception: what cannot be removed now.
    """
    with lock(manager, migration.instance):
        instance = _gone(manager, migration, ask())
        if instance is None:
            return
        LOG.info(
            'Removing what live migration %s left on this host',
            migration.uuid,
            instance=instance,
        )
        volumes.detach(manager, migration, instance)
        _remove_files(manager, instance, migration.migrate_data)


def detach(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    ask: Callable[[], present.Standing],
) -> None:
    """Detach the volumes of a server that left otherwise; may be repeated.

    What deleted or evacuated it saw the attachments that the destination of
    this migration had made, and Nova has no others in its records. See
    vacate() for when nothing is touched, and for what is raised.
    """
    if not migration.attachments:
        return
    with lock(manager, migration.instance):
        instance = _gone(manager, migration, ask())
        if instance is not None:
            volumes.detach(manager, migration, instance)


def lock(
    manager: border.Manager, instance: border.Instance
) -> AbstractContextManager[object]:
    """Keep a server from coming back while what it left is removed.

    Held by who removes it, from before it asks whose the server is, and by
    who prepares this host for it, which its record says by then.
    """
    return lockutils.lock(f'nova_throttle-{manager.host}-{instance.uuid}')


def _gone(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    standing: present.Standing,
) -> Any:
    """Return the server, if it has left this host and its guest has too."""
    if standing.decided().uses(manager.host):
        return None
    instance = _read(migration.instance.uuid)
    if instance is None:
        LOG.warning(
            'What server %s left on this host cannot be removed: its record '
            'is purged',
            migration.instance.uuid,
        )
        return None
    if sight.of_guest(manager.driver, instance) not in _NOTHING:
        return None
    return instance


def _read(instance_uuid: str) -> Any:
    """Read a server, deleted or not; None if it was purged."""
    context = nova_context.get_admin_context(read_deleted='yes')
    try:
        instance = objects.Instance.get_by_uuid(
            context, instance_uuid, expected_attrs=_ATTRIBUTES
        )
    except nova_exception.InstanceNotFound:
        return None
    # By now these are of another host, and the driver would erase them here.
    instance.resources = None
    instance.obj_reset_changes(['resources'])
    return instance


def _remove_files(
    manager: border.Manager,
    instance: border.Instance,
    migrate_data: border.MigrateData,
) -> None:
    vifs = _source_vifs(migrate_data)
    try:
        manager.driver.unplug_vifs(instance, vifs)
    except NotImplementedError:
        LOG.debug('The driver unplugs no ports', instance=instance)
    removes, destroys = manager._live_migration_cleanup_flags(
        migrate_data, migr_ctxt=None
    )
    if removes:
        manager.driver.cleanup(
            instance._context,
            instance,
            vifs,
            destroy_disks=destroys,
            migrate_data=migrate_data,
            destroy_vifs=False,
        )


def _source_vifs(migrate_data: border.MigrateData) -> Any:
    """Return the ports as they were plugged on the source."""
    known = migrate_data.vifs if 'vifs' in migrate_data else ()
    return network_model.NetworkInfo([vif.source_vif for vif in known])
