# SPDX-License-Identifier: Apache-2.0

"""The volumes of a server that migrates, as they are attached to its source.

Nova overwrites that when the destination prepares. What is kept on disk is
which attachment each volume had; its connection, which may hold a password, is
asked of the volume service again.
"""

from collections.abc import Mapping
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
    manager: border.Manager,
    context: border.Context,
    instance_uuid: str,
    kept: Mapping[str, str],
) -> Any:
    """Return the volumes as they were before the destination prepared.

    One whose attachment to the source is gone is returned as it is now.

    :param kept: the attachments to the source, by volume.
    """
    bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(
        context, instance_uuid
    )
    for bdm in bdms:
        attachment_id = kept.get(bdm.volume_id)
        if not attachment_id or bdm.attachment_id == attachment_id:
            continue
        connection = _connection(
            manager, context, bdm.volume_id, attachment_id
        )
        if connection is not None:
            bdm.attachment_id = attachment_id
            bdm.connection_info = jsonutils.dumps(connection)
    return bdms


def still_at_source(
    manager: border.Manager,
    context: border.Context,
    instance_uuid: str,
    kept: Mapping[str, str],
) -> Any:
    """Return what has to be detached from the source, once a guest has left.

    Not what is detached by now, nor what was attached since: Nova would
    delete the attachment that the guest uses.
    """
    bdms = at_source(manager, context, instance_uuid, kept)
    return objects.BlockDeviceMappingList(
        context,
        objects=[
            bdm
            for bdm in bdms
            if bdm.attachment_id in (None, kept.get(bdm.volume_id))
        ],
    )


def settle(
    manager: border.Manager,
    context: border.Context,
    instance_uuid: str,
    source_bdms: border.BlockDevices,
) -> None:
    """Have no volume name an attachment that an earlier attempt deleted.

    It may have been cut short before it said so: Nova's next one would fail
    as it cannot delete it again.

    :param source_bdms: the volumes as they are attached to the source.
    """
    known = {bdm.volume_id: bdm for bdm in source_bdms if bdm.is_volume}
    bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(
        context, instance_uuid
    )
    for bdm in bdms:
        if bdm.volume_id not in known or not bdm.attachment_id:
            continue
        volume_id, before = bdm.volume_id, known[bdm.volume_id]
        if bdm.attachment_id != before.attachment_id and not _connection(
            manager, context, volume_id, bdm.attachment_id
        ):
            bdm.attachment_id = before.attachment_id
            bdm.connection_info = before.connection_info
            bdm.save()


def check_returned(migration: migration_lib.LiveMigration) -> None:
    """See that what was undone has its volumes attached to the source again.

    Nova only warns if Cinder refuses to delete the other attachment.

    :raises StillAttached: if one is still attached to the destination.
    """
    bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(
        migration.context, migration.instance.uuid
    )
    for bdm in bdms:
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
    context: border.Context,
    instance: border.Instance,
    migrate_data: border.MigrateData,
    kept: Mapping[str, str],
) -> None:
    """Detach from the source what still is attached there.

    :param instance: a server that is elsewhere, or deleted.
    """
    for volume_id, attachment_id in kept.items():
        connection = _connection(manager, context, volume_id, attachment_id)
        if connection is None:
            continue
        manager.driver.post_live_migration(
            context,
            instance,
            {'block_device_mapping': [{'connection_info': connection}]},
            migrate_data,
        )
        manager.volume_api.attachment_delete(context, attachment_id)


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
