# SPDX-License-Identifier: Apache-2.0

"""What Nova's database has of an entry of the journal."""

from typing import Any

from nova import exception as nova_exception
from nova import objects

from nova_throttle.compute import border
from nova_throttle.objects import entry as entry_obj

_ATTRIBUTES = [
    'flavor',
    'info_cache',
    'metadata',
    'migration_context',
    'numa_topology',
    'pci_devices',
    'pci_requests',
    'system_metadata',
]


class _PurgedMigration(objects.Migration):
    """A record that is gone: its id may be that of another one by now."""

    @classmethod
    def obj_name(cls) -> str:
        """Be known to other hosts by Nova's name."""
        return str(objects.Migration.obj_name())

    def save(self) -> None:
        """Write nothing: Nova would write by id."""


def instance(context: border.Context, uuid: str) -> Any:
    """Return a server, or an empty object if it was deleted."""
    try:
        return objects.Instance.get_by_uuid(
            context, uuid, expected_attrs=_ATTRIBUTES
        )
    except nova_exception.InstanceNotFound:
        return objects.Instance(context, uuid=uuid)


def migration(
    context: border.Context, host: str, entry: entry_obj.JournalEntry
) -> Any:
    """Return the record of an entry, or one that cannot be written.

    :param host: the source, which is this host.
    """
    try:
        return objects.Migration.get_by_uuid(context, entry.migration_uuid)
    except nova_exception.MigrationNotFound:
        return _PurgedMigration(
            context,
            # No record's: by now another may have the number.
            id=0,
            uuid=entry.migration_uuid,
            instance_uuid=entry.instance_uuid,
            source_compute=host,
            source_node=None,
            dest_node=None,
            dest_compute=entry.destination,
            status='error',
        )
