# SPDX-License-Identifier: Apache-2.0

"""The volumes of a server that migrates, as they are attached to its source.

Nova overwrites that when the destination prepares. What is kept on disk is
which attachment each volume had; its connection, which may hold a password, is
asked of the volume service again.
"""

from typing import Any

from nova import exception as nova_exception
from nova import objects
from oslo_serialization import jsonutils

from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception


def attachments(bdms: border.BlockDevices) -> dict[str, str]:
    """Return the attachment of each volume, by the volume's id."""
    return {
        bdm.volume_id: bdm.attachment_id
        for bdm in bdms or ()
        if bdm.is_volume and bdm.attachment_id
    }


def at_source(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> Any:
    """Return the volumes as they were before the destination prepared.

    One whose attachment to the source is gone is returned as it is now.
    """
    bdms = _present(migration)
    for bdm in bdms:
        attachment_id = migration.attachments.get(bdm.volume_id)
        if not attachment_id or bdm.attachment_id == attachment_id:
            continue
        connection = _connection(
            manager, migration.context, bdm.volume_id, attachment_id
        )
        if connection is not None:
            bdm.attachment_id = attachment_id
            bdm.connection_info = jsonutils.dumps(connection)
    return bdms


def still_at_source(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> Any:
    """Return what has to be detached from the source, once a guest has left.

    Not what is detached by now, nor what was attached since: Nova would
    delete the attachment that the guest uses.
    """
    kept = migration.attachments
    return objects.BlockDeviceMappingList(
        migration.context,
        objects=[
            bdm
            for bdm in at_source(manager, migration)
            if bdm.attachment_id in (None, kept.get(bdm.volume_id))
        ],
    )


def settle(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """Have no volume name an attachment that an earlier attempt deleted.

    It may have been cut short before it said so: Nova's next one would fail
    as it cannot delete it again.
    """
    known = {
        bdm.volume_id: bdm for bdm in migration.source_bdms if bdm.is_volume
    }
    for bdm in _present(migration):
        if bdm.volume_id not in known or not bdm.attachment_id:
            continue
        volume_id, before = bdm.volume_id, known[bdm.volume_id]
        if bdm.attachment_id != before.attachment_id and not _connection(
            manager, migration.context, volume_id, bdm.attachment_id
        ):
            bdm.attachment_id = before.attachment_id
            bdm.connection_info = before.connection_info
            bdm.save()


def check_returned(migration: migration_lib.LiveMigration) -> None:
    """See that what was undone has its volumes attached to the source again.

    Nova only warns if Cinder refuses to delete the other attachment.

    :raises StillAttached: if one is still attached to the destination.
    """
    for bdm in _present(migration):
        kept = migration.attachments.get(bdm.volume_id)
        if kept and bdm.attachment_id != kept:
            raise exception.StillAttached(
                volume_id=bdm.volume_id, host=migration.destination
            )


def delete_attachments(
    manager: border.Manager,
    context: border.Context,
    source_bdms: border.BlockDevices,
) -> Any:
    """Delete the attachments of volumes to the source; twice is harmless.

    Nova goes on if that fails, and a volume stays attached to two hosts.

    :returns: those that have none, of before Cinder's API 3.44.
    :raises Exception: why one cannot be deleted; others are.
    """
    problem = None
    for bdm in source_bdms:
        if bdm.is_volume and bdm.attachment_id:
            try:
                manager.volume_api.attachment_delete(
                    context, bdm.attachment_id
                )
            except nova_exception.VolumeAttachmentNotFound:
                continue
            except Exception as error:
                problem = error
    if problem is not None:
        raise problem
    return [bdm for bdm in source_bdms if not bdm.attachment_id]


def detach(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    instance: border.Instance,
) -> None:
    """Detach from the source what still is attached there.

    :param instance: its server, which is elsewhere, or deleted.
    """
    context = migration.context
    for volume_id, attachment_id in migration.attachments.items():
        connection = _connection(manager, context, volume_id, attachment_id)
        if connection is None:
            continue
        manager.driver.post_live_migration(
            context,
            instance,
            {'block_device_mapping': [{'connection_info': connection}]},
            migration.migrate_data,
        )
        manager.volume_api.attachment_delete(context, attachment_id)


def _present(migration: migration_lib.LiveMigration) -> Any:
    """Read the disks and volumes of a server as they are by now."""
    return objects.BlockDeviceMappingList.get_by_instance_uuid(
        migration.context, migration.instance.uuid
    )


def _connection(
    manager: border.Manager,
    context: border.Context,
    volume_id: str,
    attachment_id: str,
) -> dict[str, Any] | None:
    """Return how an attachment is connected; None if it is gone."""
    try:
        found = manager.volume_api.attachment_get(context, attachment_id)
    except nova_exception.VolumeAttachmentNotFound:
        return None
    return {'serial': volume_id, **found['connection_info']}
