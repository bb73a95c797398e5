# SPDX-License-Identifier: Apache-2.0

"""What Nova tells the world about an abort, and its own way to abort.

An abort that reaches a running migration is Nova's business; one that finds
its migration before the driver is ours, with the same notifications.
"""

from collections.abc import Iterator
import contextlib

from nova.compute import manager as nova_manager
from nova.compute import utils as compute_utils
from nova import exception as nova_exception
from nova.objects import fields
from nova import safe_utils

from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception

# Without its decorators: the caller has them.
_abort = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager.live_migration_abort
)


def abort(
    manager: border.Manager,
    parts: assembly_lib.Assembly,
    context: border.Context,
    instance: border.Instance,
    migration_id: int,
) -> None:
    """Abort a live migration that is queued, prepares or runs.

    :param manager: the compute manager of the source.
    :param parts: the parts of its host.
    :raises InvalidMigrationState: if the migration does not run.
    :raises MigrationNotFoundForInstance: if it is another one that does.
    """
    migrations = parts.migrations.all_of_instance(instance.uuid)
    migration = next(
        (j for j in migrations if j.record.id == migration_id), None
    )
    if migration is None and migrations:
        # Nova would abort the one that is there.
        raise nova_exception.MigrationNotFoundForInstance(
            migration_id=migration_id, instance_id=instance.uuid
        )
    if migration is None:
        _abort(manager, context, instance, migration_id)
    elif migration.request.ticket.cancel():
        with _notified(manager, migration):
            parts.completion.take_out(
                migration,
                'cancelled',
                exception.MigrationAborted(instance_uuid=instance.uuid),
            )
    elif migration.request_abort():
        # What prepares rolls back when it finds its entry gone, or at the
        # last step before the driver.
        _notify_start(manager, migration)
        manager._waiting_live_migrations.pop(instance.uuid, None)
    else:
        _abort(manager, context, instance, migration_id)


def _notify_start(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """Send the notifications that an abort begins."""
    context, instance = migration.context, migration.instance
    manager._notify_about_instance_usage(
        context, instance, 'live.migration.abort.start'
    )
    compute_utils.notify_about_instance_action(
        context,
        instance,
        manager.host,
        action=fields.NotificationAction.LIVE_MIGRATION_ABORT,
        phase=fields.NotificationPhase.START,
    )


@contextlib.contextmanager
def _notified(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> Iterator[None]:
    """Send the notifications of an abort around it."""
    _notify_start(manager, migration)
    yield
    manager._notify_live_migrate_abort_end(
        migration.context, migration.instance
    )
