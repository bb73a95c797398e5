# SPDX-License-Identifier: Apache-2.0

"""What the user is told of a live migration is the truth.

The event of the instance action starts when the request arrives and ends when
the migration ends, with what became of it. It is best effort: a lost event
loses no slot.
"""

import contextlib
import sys
from typing import Any

from nova.compute import utils as compute_utils
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.compute import action_event
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception

LOG = logging.getLogger(__name__)

# Nova's own name for it, by which clients know it.
NAME = 'compute_live_migration'

_FAILED = compat.FINAL_STATUSES - {'completed'}


def start(host: str, migration: migration_lib.LiveMigration) -> None:
    """Open the event of a migration of this host."""
    migration.event = enter(host, migration, NAME)


def resume(host: str, migration: migration_lib.LiveMigration) -> None:
    """Take up the event that a migration opened before a restart."""
    migration.event = _reporter(host, migration, NAME)


def enter(host: str, migration: migration_lib.LiveMigration, name: str) -> Any:
    """Open an event of a migration.

    :returns: what leave() needs.
    """
    reporter = _reporter(host, migration, name)
    if migration.carried_over and action_event.is_there(
        migration.context, migration.instance.uuid, name
    ):
        return reporter
    try:
        reporter.__enter__()
    except Exception:
        # It may be open all the same, if only the answer was lost.
        _log_lost(migration)
    return reporter


def leave(migration: migration_lib.LiveMigration, reporter: Any) -> None:
    """Close another event of a migration."""
    try:
        _close(reporter, None)
    except Exception:
        _log_lost(migration)


def _reporter(
    host: str, migration: migration_lib.LiveMigration, name: str
) -> Any:
    return compute_utils.EventReporter(
        migration.context, name, host, migration.instance.uuid
    )


def finish(migration: migration_lib.LiveMigration) -> bool:
    """Close the event with the result of a migration that is over.

    A failure also leaves a fault on the instance; an abort is what its
    user wanted.

    :returns: whether all is told; if not, this may be called again.
    """
    error = migration.error or failure_of(migration.record)
    told = True
    try:
        if migration.event is not None:
            _close(migration.event, error)
            migration.event = None
    except Exception:
        told = False
        _log_lost(migration)
    aborted = isinstance(error, exception.MigrationAborted)
    if error and not aborted and migration.record.status != 'cancelled':
        told &= _add_fault(migration, error)
    if migration.carried_over or error or migration.lost_event:
        # Whoever opened others was ended with its service, or is not there.
        told &= end_open(migration.context, migration.record, error)
    return told


def failure_of(record: border.MigrationRecord) -> BaseException | None:
    """Say that a migration has failed, by its status; None if it has not."""
    if record.status not in _FAILED:
        return None
    return exception.MigrationFailed(
        migration_uuid=record.uuid, status=record.status
    )


def tell_lost(
    host: str,
    context: border.Context,
    instance: border.Instance,
    action: Any,
    error: BaseException,
) -> None:
    """Record that a request never came to anything.

    :param host: this host.
    :param action: that of the request.
    """
    reporter = compute_utils.EventReporter(
        action_event.under(context, action), NAME, host, instance.uuid
    )
    try:
        reporter.__enter__()
        _close(reporter, error)
    except Exception:
        LOG.exception('Cannot record: %s', error, instance=instance)


def end_open(
    context: border.Context,
    record: border.MigrationRecord,
    error: BaseException | None,
) -> bool:
    """Close what is open of the action that a migration was asked for with.

    Whoever opened it is not there any more.

    :param record: its record.
    :param error: why it failed; None if it did not.
    :returns: whether nothing is open any more.
    """
    try:
        _end_open(context, record, error)
    except Exception:
        LOG.exception(
            'Cannot end the events of live migration %s',
            record.uuid,
            instance_uuid=record.instance_uuid,
        )
        return False
    return True


def _end_open(
    context: border.Context,
    record: border.MigrationRecord,
    error: BaseException | None,
) -> None:
    action = action_event.of_record(context, record)
    if action is None:
        return
    context = action_event.under(context, action)
    for found in objects.InstanceActionEventList.get_by_action(
        context, action.id
    ):
        if found.finish_time is None:
            _end(context, record.instance_uuid, found.event, error)


def _end(
    context: border.Context,
    instance_uuid: str,
    name: str,
    error: BaseException | None,
) -> None:
    event = objects.InstanceActionEvent
    if error is None:
        event.event_finish(context, instance_uuid, name, want_result=False)
        return
    event.event_finish_with_failure(
        context, instance_uuid, name, exc_val=str(error), exc_tb=''
    )


def _close(reporter: Any, error: BaseException | None) -> None:
    # One that could not be opened may be missing.
    with contextlib.suppress(nova_exception.InstanceActionEventNotFound):
        if error is None:
            reporter.__exit__(None, None, None)
            return
        # Raised, because Nova tells a failure by its traceback.
        try:
            raise error
        except BaseException:
            reporter.__exit__(*sys.exc_info())


def _add_fault(
    migration: migration_lib.LiveMigration, error: BaseException
) -> bool:
    """Leave a fault on the instance, once; return whether there is one."""
    if migration.has_fault:
        return True
    try:
        compute_utils.add_instance_fault_from_exc(
            migration.context,
            migration.instance,
            error,
            (type(error), error, error.__traceback__),
            fault_message=str(error),
        )
    except Exception:
        _log(migration, 'fault')
        return False
    migration.has_fault = True
    return True


def _log_lost(migration: migration_lib.LiveMigration) -> None:
    migration.lost_event = True
    _log(migration, 'event')


def _log(migration: migration_lib.LiveMigration, what: str) -> None:
    LOG.exception(
        'Cannot record the %(what)s of live migration %(uuid)s',
        {'what': what, 'uuid': migration.record.uuid},
        instance=migration.instance,
    )
