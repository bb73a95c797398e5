# SPDX-License-Identifier: Apache-2.0

"""Nova's own table of what waits: its code finds and cancels tickets there."""

from nova_throttle.admission import request as request_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry


def publish(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    ticket: request_lib.Ticket,
) -> None:
    """Let Nova have the ticket of a migration."""
    manager._waiting_live_migrations[migration.instance.uuid] = (
        migration.record,
        ticket,
    )
    if ticket.cancelled():
        withdraw(manager, migration, ticket)


def is_published(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> bool:
    """Tell whether Nova has a ticket of the server of a migration."""
    return migration.instance.uuid in manager._waiting_live_migrations


def withdraw(
    manager: border.Manager,
    migration: migration_lib.LiveMigration,
    ticket: request_lib.Ticket,
) -> None:
    """Take a ticket back, unless it is another's that is there."""
    waiting = manager._waiting_live_migrations
    entry = waiting.get(migration.instance.uuid)
    if entry is not None and entry[1] is ticket:
        waiting.pop(migration.instance.uuid, None)


def withdraw_all(
    manager: border.Manager, migrations: registry.Registry
) -> None:
    """Leave nothing of ours to Nova, which cancels what is there."""
    waiting = manager._waiting_live_migrations
    for instance_uuid in list(waiting):
        if migrations.all_of_instance(instance_uuid):
            waiting.pop(instance_uuid, None)
