# SPDX-License-Identifier: Apache-2.0


"""Whose a server is by now: asked before each write that follows a wait.

The records are read again each time, and outcome.standing weighs them. If
the server is not a migration's, only what is its own is given back.
"""

from typing import Any

from nova.compute import task_states
import nova.conf
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects
from oslo_utils import timeutils

from nova_throttle.compute import border
from nova_throttle.outcome import standing

CONF = nova.conf.CONF

# Tells how far this host has come with a migration; None if it has it not.
StateOf = standing.StateOf
Standing = standing.Standing
State = standing.State

_ATTRIBUTES = ['migration_context', 'info_cache', 'flavor']


def read(
    context: border.Context,
    migration: border.MigrationRecord,
    state_of: StateOf = lambda uuid: None,
) -> Standing:
    """Read what has become of a migration and of its server.

    :param migration: its record, as it was known.
    :param state_of: how far the source has come with a migration, for a
        caller that knows.
    """
    return standing.weigh(
        migration,
        find_instance(context, migration.instance_uuid),
        _records(context, migration.instance_uuid),
        state_of,
        _is_recent,
    )


def find_instance(context: border.Context, uuid: str) -> Any:
    """Read a server; None if it was deleted."""
    try:
        return objects.Instance.get_by_uuid(
            context, uuid, expected_attrs=_ATTRIBUTES
        )
    except nova_exception.InstanceNotFound:
        return None


def read_ports(manager: border.Manager, instance: border.Instance) -> None:
    """Read the ports of a server from Neutron, and not from Nova's cache.

    That is empty if Nova wrote it while it could not see them; it would move
    no port binding then, and Neutron refuses what comes after.
    """
    manager.network_api.get_instance_nw_info(
        nova_context.get_admin_context(), instance, force_refresh=True
    )


def make_migrating(instance: border.Instance) -> None:
    """Let Nova end a migration of a server whose state was reset.

    :raises UnexpectedTaskStateError: if somebody does something with it.
    """
    if instance.task_state is None:
        found = objects.Instance.get_by_uuid(instance._context, instance.uuid)
        found.task_state = task_states.MIGRATING
        found.save(expected_task_state=[None])


def comes_to(
    context: border.Context, instance: border.Instance, host: str
) -> bool:
    """Tell whether the server's present migration is one to a host."""
    return standing.comes_to(_records(context, instance.uuid), instance, host)


def may_undo(
    context: border.Context,
    host: str,
    instance_uuid: str,
    migrate_data: border.MigrateData,
) -> bool:
    """Tell whether what a host prepared for a migration may be undone.

    :param migrate_data: names the migration, unless it is of old.
    """
    return standing.may_undo(
        _records(context, instance_uuid),
        find_instance(context, instance_uuid),
        host,
        migration_uuid(migrate_data),
    )


def migration_uuid(migrate_data: border.MigrateData) -> str | None:
    """Return the migration that migrate_data is of, if it says so."""
    if migrate_data is None or 'migration' not in migrate_data:
        return None
    uuid: str = migrate_data.migration.uuid
    return uuid


def _records(context: border.Context, instance_uuid: str) -> list[Any]:
    found = objects.MigrationList.get_by_filters(
        context, {'instance_uuid': instance_uuid}
    )
    return sorted(found, key=lambda record: record.id)


def _is_recent(record: border.MigrationRecord) -> bool:
    # A service that died leaves it so for ever.
    return not timeutils.is_older_than(
        record.created_at, CONF.long_rpc_timeout
    )
