# SPDX-License-Identifier: Apache-2.0

"""A queued request starts only if what it was asked for is still true.

It may have waited for hours: the instance, the record and the destination
are looked at again before anything is prepared.
"""

import dataclasses
import time

from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from nova.objects import instance as instance_lib
from nova import servicegroup

from nova_throttle.compute import border
from nova_throttle.compute import sight
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception

# Seconds for which what was read of one that waits is good.
GOOD = 5.0


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was read of a migration that may start.

    :param instance: the server.
    :param record: the migration record.
    :param at: when, in seconds on the monotonic clock.
    """

    instance: border.Instance
    record: border.MigrationRecord
    at: float


def read(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> Facts:
    """Read what a migration is about, and refuse it if that is over.

    It changes nothing of the migration: see adopt().

    :raises ThrottleError: one that says what has become of it.
    """
    now = time.monotonic()
    instance = _read_instance(migration.instance)
    _check_instance(manager.host, instance)
    record = objects.Migration.get_by_uuid(
        migration.context, migration.record.uuid
    )
    if record.status not in _expected(migration):
        raise exception.MigrationNotQueued(
            migration_uuid=record.uuid, status=record.status
        )
    check_guest(manager, migration)
    check_destination(migration)
    return Facts(instance, record, now)


def adopt(migration: migration_lib.LiveMigration, facts: Facts) -> None:
    """Have a migration that starts go on with what was read of it."""
    instance = facts.instance
    # Changed for the destination by the conductor, and never saved.
    if 'pci_requests' in migration.instance:
        instance.pci_requests = migration.instance.pci_requests
        instance.obj_reset_changes(['pci_requests'])
    migration.instance = instance
    migration.record = facts.record


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


def check_destination(migration: migration_lib.LiveMigration) -> None:
    """See that the destination is there.

    :raises DestinationUnavailable: if not.
    """
    state = service_state(migration.context, migration.destination)
    if state != 'up':
        raise exception.DestinationUnavailable(
            host=migration.destination, state=state
        )


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


def _read_instance(known: border.Instance) -> border.Instance:
    """Read a server again, with all that was known of it."""
    attributes = [
        name
        for name in instance_lib.INSTANCE_OPTIONAL_ATTRS
        if known.obj_attr_is_set(name)
    ]
    try:
        return objects.Instance.get_by_uuid(
            known._context, known.uuid, expected_attrs=attributes
        )
    except nova_exception.InstanceNotFound as error:
        raise exception.InstanceGone(instance_uuid=known.uuid) from error


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
