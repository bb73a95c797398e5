# SPDX-License-Identifier: Apache-2.0

"""Where the guest of a live migration is: looked for on both hosts.

What follows from that is decided in outcome.verdict. What cannot be seen now
is looked for again, and until then nothing is deleted.
"""

import functools
import threading

from nova.compute import vm_states
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import sight
from nova_throttle import exception
from nova_throttle.outcome import verdict
from nova_throttle import rpcapi

LOG = logging.getLogger(__name__)

Sight = verdict.Sight
Verdict = verdict.Verdict

# Seconds until it is looked again, doubled from the first to the last.
AGAIN_FIRST = 1.0
AGAIN_LAST = 60.0


def find(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    dest: str,
) -> Verdict:
    """Find out where the guest of a migration from this host is.

    :param manager: the compute manager of the source host.
    :param instance: whose guest; no call of this host migrates it any more.
    :param dest: the destination host.
    :raises NotSeen: if that cannot be said now. Nothing may be deleted then.
    """
    try:
        record = objects.Instance.get_by_uuid(context, instance.uuid)
    except nova_exception.InstanceNotFound:
        return Verdict.ELSEWHERE
    driver = manager.driver
    return verdict.find(
        record.host,
        manager.host,
        dest,
        functools.partial(sight.of_guest, driver, instance),
        functools.partial(_may_have_left, driver, instance),
        functools.partial(_look_there, manager, context, record, dest),
    )


def wait(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    dest: str,
) -> Verdict:
    """Find out where the guest is, however long that takes; see find()."""
    tick = threading.Event()
    delay = AGAIN_FIRST
    while True:
        try:
            return find(manager, context, instance, dest)
        except Exception as error:
            LOG.warning(
                'A live migration to %(dest)s ended without success; nothing '
                'is cleaned up before its guest was seen, which is tried '
                'again in %(delay)d seconds: %(error)s',
                {'dest': dest, 'delay': delay, 'error': error},
                instance=instance,
            )
        tick.wait(delay)
        delay = min(2 * delay, AGAIN_LAST)


def _may_have_left(driver: border.Driver, instance: border.Instance) -> bool:
    left = getattr(driver, 'has_completed_job', None)
    return left is not None and bool(left(instance))


def _look_there(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    dest: str,
) -> Sight:
    try:
        return Sight(rpcapi.HostAPI().see(context, dest, instance.uuid))
    except exception.HostNotThrottled:
        return _look_without_us(manager, context, instance, dest)
    except exception.ThrottleError as error:
        raise exception.NotSeen(
            here='not running', host=dest, there=error
        ) from error


def _look_without_us(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    dest: str,
) -> Sight:
    """Ask a plain Nova, which has diagnostics of what runs there."""
    there = instance.obj_clone()
    there.host = dest
    try:
        manager.compute_rpcapi.get_instance_diagnostics(context, there)
    except nova_exception.InstanceInvalidState:
        # A guest that is paused does not run on either host.
        paused = instance.vm_state == vm_states.PAUSED
        return Sight.MOVES if paused else Sight.ABSENT
    except Exception as error:
        raise exception.NotSeen(
            here='not running', host=dest, there=error
        ) from error
    return Sight.RUNS
