# SPDX-License-Identifier: Apache-2.0

"""A queued request starts only if what it was asked for is still true.

It may have waited for hours: the instance, the record and the destination
are looked at again before anything is prepared.
"""

from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from nova import servicegroup

from nova_throttle.compute import border
from nova_throttle.compute import sight
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception


def check(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """Read again what a migration is about, and refuse it if that is over.

    The migration's instance and migration are up to date after it.

    :raises ThrottleError: one that says what has become of it.
    """
    _refresh_instance(migration)
    _check_instance(manager.host, migration.instance)
    migration.record = objects.Migration.get_by_uuid(
        migration.context, migration.record.uuid
    )
    if migration.record.status not in _expected(migration):
        raise exception.MigrationNotQueued(
            migration_uuid=migration.record.uuid,
            status=migration.record.status,
        )
    check_guest(manager, migration)
    state = service_state(migration.context, migration.destination)
    if state != 'up':
        raise exception.DestinationUnavailable(
            host=migration.destination, state=state
        )


def _expected(migration: migration_lib.LiveMigration) -> tuple[str, ...]:
    # A write that was given up may have been done in the end.
    return ('queued', 'preparing') if migration.was_put_back else ('queued',)


def check_guest(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """See that there is a guest to migrate.

    :raises GuestNotRunning: if it is off or gone: libvirt would refuse it,
        and Nova take a domain that is off for one that has left.
    """
    found = sight.of_guest(manager.driver, migration.instance)
    if found in (sight.Sight.OFF, sight.Sight.ABSENT):
        raise exception.GuestNotRunning(state=found.value)


def service_state(context: border.Context, host: str) -> str:
    """Return up, or what is wrong with a host's compute service."""
    try:
        service = objects.Service.get_by_compute_host(context.elevated(), host)
    except nova_exception.ComputeHostNotFound:
        return 'deleted'
    if service.forced_down:
        return 'forced down'
    if service.disabled:
        return 'disabled'
    up = servicegroup.API().service_is_up(service)
    return 'up' if up else 'down'


def is_gone(context: border.Context, host: str) -> bool:
    """Tell whether a host's compute service is known to be dead."""
    return service_state(context, host) in ('down', 'deleted', 'forced down')


def _refresh_instance(migration: migration_lib.LiveMigration) -> None:
    instance = migration.instance
    # Changed for the destination by the conductor, and never saved.
    requests = instance.pci_requests if 'pci_requests' in instance else None
    try:
        instance.refresh()
    except nova_exception.InstanceNotFound as error:
        raise exception.InstanceGone(instance_uuid=instance.uuid) from error
    if requests is not None:
        instance.pci_requests = requests
        instance.obj_reset_changes(['pci_requests'])


def _check_instance(host: str, instance: border.Instance) -> None:
    uuid = instance.uuid
    if instance.deleted:
        raise exception.InstanceGone(instance_uuid=uuid)
    if instance.host != host:
        raise exception.InstanceMoved(instance_uuid=uuid, host=instance.host)
    if instance.task_state != task_states.MIGRATING:
        raise exception.InstanceNotMigrating(
            instance_uuid=uuid, task_state=instance.task_state
        )
