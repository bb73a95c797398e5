# SPDX-License-Identifier: Apache-2.0

"""What of a migration is kept on disk, and how it becomes a migration again.

Only what Nova stores nowhere, and never a secret: the request's identity is
kept without its token, and volumes without their connections.
"""

from collections.abc import Iterator
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.objects import base as nova_base
from oslo_log import log as logging
from oslo_serialization import jsonutils

from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle
from nova_throttle.objects import entry as entry_obj

LOG = logging.getLogger(__name__)

# Of a request context; the token is not among them.
_IDENTITY = (
    'user_id',
    'project_id',
    'request_id',
    'global_request_id',
)

# What the destination adds when it prepares, or Nova for its own use; the
# first may hold a volume's password.
_NOT_KEPT = ('bdms', 'migration')


def entry_of(
    migration: migration_lib.LiveMigration,
    state: lifecycle.State | None = None,
    **values: Any,
) -> Any:
    """Describe a migration for the journal.

    :param migration: the migration.
    :param state: the state that it is about to enter; the present one if
        that is not given.
    :param values: other fields of the entry.
    """
    context = migration.context.to_dict()
    # With those that it lacked when it was restored.
    unkept = set(migration.unkept)
    return entry_obj.JournalEntry(
        migration_uuid=migration.record.uuid,
        migration_id=migration.request.arrival,
        instance_uuid=migration.instance.uuid,
        destination=migration.destination,
        block_migration=migration.block_migration,
        migrate_data=_dump(migration.requested_data, unkept),
        pci_requests=_dump(_pci_requests(migration.instance), unkept),
        unkept=sorted(unkept),
        priority=migration.request.priority,
        held=migration.request.held,
        accepted_at=migration.accepted_at,
        context={n: context[n] for n in _IDENTITY if context.get(n)},
        state=(state or migration.state).value,
        attachments=dict(migration.attachments),
        prepared=migration.may_be_prepared,
        **values,
    )


def views(journal: journal_lib.Journal) -> Iterator[lifecycle.View]:
    """Yield what can be seen of each migration of a host, in their order."""
    for entry in journal.entries():
        yield lifecycle.View(
            migration_uuid=entry.migration_uuid,
            instance_uuid=entry.instance_uuid,
            destination=entry.destination,
            state=lifecycle.State(entry.state),
            problem=entry.reason or '',
        )


def context_of(entry: entry_obj.JournalEntry) -> Any:
    """Make a request context of an entry.

    It acts as administrator: the user's token has long expired, and Nova's
    own credentials are what it uses for an administrator without one.
    """
    return nova_context.RequestContext(
        is_admin=True, overwrite=False, **entry.context
    )


def restore(
    entry: entry_obj.JournalEntry, migration: migration_lib.LiveMigration
) -> None:
    """Give a migration what the destination's check had returned.

    What can't be read, as after Nova was downgraded, the migration lacks.
    """
    migration.unkept = list(entry.unkept)
    migration.attachments = entry.attachments
    try:
        migration.migrate_data = _load(entry.migrate_data)
    except Exception:
        _note_unreadable(migration, 'migrate_data')
        migration.migrate_data = unknown_migrate_data()
    migration.requested_data = migration.migrate_data


def unknown_migrate_data() -> Any:
    """Make what a rollback can do with that destroys nothing."""
    return objects.LibvirtLiveMigrateData(
        is_shared_block_storage=True, is_shared_instance_path=True
    )


def restore_pci_requests(
    entry: entry_obj.JournalEntry, migration: migration_lib.LiveMigration
) -> None:
    """Give a migration the PCI requests made for its destination."""
    try:
        requests = _load(entry.pci_requests)
    except Exception:
        _note_unreadable(migration, 'pci_requests')
        return
    if requests is not None:
        migration.instance.pci_requests = requests
        migration.instance.obj_reset_changes(['pci_requests'])


def _note_unreadable(
    migration: migration_lib.LiveMigration, name: str
) -> None:
    LOG.exception(
        'The %s of live migration %s in the journal cannot be read',
        name,
        migration.record.uuid,
        instance=migration.instance,
    )
    migration.unkept = [*migration.unkept, name]


def _pci_requests(instance: border.Instance) -> Any:
    return instance.pci_requests if 'pci_requests' in instance else None


def _dump(value: Any, unkept: set[str]) -> str | None:
    """Return an object as JSON, and note what secrets it had."""
    if value is None:
        return None
    primitive = value.obj_to_primitive()
    data = primitive[nova_base.NovaObject._obj_primitive_key('data')]
    for name in _NOT_KEPT:
        data.pop(name, None)
    text, found = entry_obj.scrubbed(jsonutils.dumps(primitive))
    unkept.update(found)
    return text


def _load(text: str | None) -> Any:
    if text is None:
        return None
    return nova_base.NovaObject.obj_from_primitive(jsonutils.loads(text))
