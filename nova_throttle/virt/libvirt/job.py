# SPDX-License-Identifier: Apache-2.0

"""What libvirt shows of a migration that nobody here waits for.

It began before nova-compute was restarted, and libvirt goes on with it alone;
or it has come to this host.
"""

from collections.abc import Callable
import threading
import time
from typing import Any

from nova import exception as nova_exception
from nova.virt.libvirt import driver
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle import exception

LOG = logging.getLogger(__name__)

# Seconds between two looks at a job that is to end, and until giving up.
LOOK_INTERVAL = 0.1
PATIENCE = 2.0


def kind_of(host: Any, instance: border.Instance) -> Any:
    """Return the type of the job of a guest; None without a guest.

    :param host: Nova's object for the hypervisor.
    """
    try:
        return host.get_guest(instance).get_job_info().type
    except nova_exception.InstanceNotFound:
        return None


def downtime(host: Any, instance: border.Instance) -> float | None:
    """Return for how long a guest paused that came to this host.

    libvirt keeps that where the guest is, and not of one in post-copy.

    :returns: seconds, without what the clocks of both hosts differ by if
        libvirt can tell that; None if it is not known.
    """
    libvirt = driver.libvirt
    flags = (
        libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED
        | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    )
    stats = host.get_guest(instance)._domain.jobStats(flags)
    if stats['type'] != libvirt.VIR_DOMAIN_JOB_COMPLETED:
        return None
    known = stats.get('downtime_net', stats.get('downtime'))
    return None if known is None else known / 1000


def is_active(kind: Any) -> bool:
    """Tell whether a job of this type goes on."""
    return kind in (
        driver.libvirt.VIR_DOMAIN_JOB_BOUNDED,
        driver.libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
    )


def end(
    host: Any,
    instance: border.Instance,
    abort: Callable[[border.Instance], None],
    full: int,
) -> None:
    """Abort the job of a guest, if one goes on, and see that it ends.

    One that will not end goes on at full speed: it may have been slow, and
    nobody is left who would change that.

    :param abort: Nova's way to abort it.
    :param full: full speed, in MiB/s; 0 is unlimited.
    :raises StillMigrating: if libvirt will not abort, or is not done with it
        soon.
    """
    deadline = time.monotonic() + PATIENCE
    if not is_active(kind_of(host, instance)):
        return
    try:
        abort(instance)
    except driver.libvirt.libvirtError as error:
        _set_full_speed(host, instance, full)
        raise exception.StillMigrating(reason=error) from error
    tick = threading.Event()
    while is_active(kind_of(host, instance)):
        if time.monotonic() > deadline:
            _set_full_speed(host, instance, full)
            raise exception.StillMigrating(reason='it was told to abort')
        tick.wait(LOOK_INTERVAL)


def _set_full_speed(host: Any, instance: border.Instance, full: int) -> None:
    try:
        host.get_guest(instance)._domain.migrateSetMaxSpeed(full)
    except Exception as error:
        LOG.warning(
            'A live migration may be slow and cannot be set to full speed: %s',
            error,
            instance=instance,
        )
