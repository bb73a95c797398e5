# SPDX-License-Identifier: Apache-2.0

"""What the hypervisor of this host shows of a guest."""

from nova.compute import power_state
from nova import exception as nova_exception
from nova import objects

from nova_throttle.compute import border
from nova_throttle import exception
from nova_throttle.outcome import verdict


Sight = verdict.Sight


def is_sure(driver: border.Driver) -> bool:
    """Tell whether a guest that a driver does not show is not there."""
    return getattr(driver, 'see_guest', None) is not None


def of_guest(driver: border.Driver, instance: border.Instance) -> Sight:
    """Look for a guest on this host.

    :raises Exception: what the driver raises if its hypervisor is away.
    """
    see = getattr(driver, 'see_guest', None)
    if see is not None:
        return Sight(see(instance))
    try:
        state = driver.get_info(instance).state
    except nova_exception.InstanceNotFound:
        return Sight.ABSENT
    known = {
        power_state.RUNNING: Sight.RUNS,
        power_state.PAUSED: Sight.PAUSED,
    }
    return known.get(state, Sight.OFF)


def of_server(
    manager: border.Manager, context: border.Context, instance_uuid: str
) -> str:
    """Look for the guest of a server, for another host.

    :raises HypervisorAway: if that fails.
    """
    try:
        instance = objects.Instance.get_by_uuid(context, instance_uuid)
    except nova_exception.InstanceNotFound:
        instance = objects.Instance(context, uuid=instance_uuid)
    try:
        return of_guest(manager.driver, instance).value
    except Exception as error:
        raise exception.HypervisorAway(
            host=manager.host, error=error
        ) from error
