# SPDX-License-Identifier: Apache-2.0

"""The speed and the progress of one guest's transfer, at libvirt.

Nova's monitor is what drives it, each half second. What fails here is noted:
it neither aborts a migration, nor does one fail for it.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import time
from typing import Any

from nova.compute import vm_states
import nova.conf
from nova.virt.libvirt import driver
from nova.virt.libvirt import guest as guest_lib
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.transfer import pace as pace_lib
from nova_throttle.transfer import progress as progress_lib
from nova_throttle.virt.libvirt import job

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# MiB/s: the least that limits, for 0 is unlimited.
SLOW = 1


class Transfer:
    """One guest on its way.

    :param instance_uuid: whose guest it is.
    :param pace: how fast it may be.
    :param note: told how far it is.
    :param downtime: seconds that the guest may pause at the end.
    """

    def __init__(
        self,
        instance_uuid: str,
        pace: pace_lib.Pace,
        note: Callable[[progress_lib.Progress], None],
        downtime: float = progress_lib.DOWNTIME,
    ) -> None:
        self.pace = pace
        self._instance_uuid = instance_uuid
        self._note = note
        self._downtime = downtime
        self._estimator = progress_lib.Estimator(downtime)
        self._full = 0
        # The domain whose speed was lowered on its way.
        self._lowered: Any = None
        # What has failed already: it is said once.
        self._failed: set[str] = set()

    def begin(
        self,
        domain: Any,
        flags: int,
        block: bool,
        parallel: bool,
        full: int,
    ) -> int:
        """Note that libvirt is called to migrate.

        :param domain: libvirt's domain.
        :param flags: how it migrates: libvirt's VIR_MIGRATE_*.
        :param block: whether disks are copied.
        :param parallel: whether it has several connections.
        :param full: full speed, in MiB/s; 0 is unlimited.
        :returns: at which speed it begins, in MiB/s.
        """
        converges = flags & driver.libvirt.VIR_MIGRATE_AUTO_CONVERGE
        self._estimator = progress_lib.Estimator(
            self._downtime, block=block, auto_converge=bool(converges)
        )
        self._full = full
        if block or parallel:
            # libvirt would keep the disks at the speed of the start; and
            # several connections are never as slow as that.
            self.pace.insist()

        def carry_out(slow: bool) -> bool:
            return self._set_speed(domain, slow)

        return SLOW if self.pace.begin(carry_out) else full

    def observe(self, domain: Any) -> None:
        """See how far a job is that is active, and that it is fast enough."""
        progress = self._estimator.last
        try:
            stats = domain.jobStats()
            progress = self._estimator.observe(stats, time.monotonic())
            self._note(dataclasses.replace(progress, slow=self.pace.is_slow))
        except Exception as error:
            self._note_failure('observed', error)
        self.pace.settle(progress.is_on_wire)

    def begin_post_copy(self) -> None:
        """Note that the guest runs on the destination from now on."""
        self._estimator.begin_post_copy()

    def end(self) -> None:
        """Note that nothing of the guest moves any more.

        Before libvirt 8 a speed that was set on the way is that of the next
        migration, too.
        """
        self.pace.end()
        if self._lowered is not None:
            # It has arrived elsewhere, as a rule.
            with contextlib.suppress(Exception):
                self._lowered.migrateSetMaxSpeed(self._full)

    def _set_speed(self, domain: Any, slow: bool) -> bool:
        speed = SLOW if slow else self._full
        try:
            domain.migrateSetMaxSpeed(speed)
        except Exception as error:
            self._note_failure('set to another speed', error)
            return False
        self._lowered = domain if slow else None
        self._estimator.change_speed()
        LOG.info(
            'The transfer has %s now',
            f'{SLOW} MiB/s' if slow else 'full speed',
            instance_uuid=self._instance_uuid,
        )
        return True

    def _note_failure(self, what: str, error: Exception) -> None:
        log = LOG.debug if what in self._failed else LOG.warning
        self._failed.add(what)
        log(
            'A live migration could not be %s, and goes on: %s',
            what,
            error,
            instance_uuid=self._instance_uuid,
        )


class WatchedGuest(guest_lib.Guest):
    """Nova's view of a guest that migrates, with our eyes on it.

    :param guest: Nova's.
    :param transfer: its transfer.
    """

    def __init__(self, guest: guest_lib.Guest, transfer: Transfer) -> None:
        super().__init__(guest._domain)
        self._transfer = transfer

    def migrate(
        self,
        destination: str,
        migrate_uri: str | None = None,
        migrate_disks: Any = None,
        destination_xml: str | None = None,
        flags: int = 0,
        bandwidth: int = 0,
        **kwargs: Any,
    ) -> Any:
        """Migrate, at the speed at which it is to begin."""
        bandwidth = self._transfer.begin(
            self._domain,
            flags,
            block=bool(migrate_disks),
            # Releases differ in whether they have it.
            parallel=kwargs.get('parallel', 0) > 1,
            full=bandwidth,
        )
        return super().migrate(
            destination,
            migrate_uri,
            migrate_disks,
            destination_xml,
            flags,
            bandwidth,
            **kwargs,
        )

    def get_job_info(self) -> Any:
        """Return what Nova's monitor asks for, and see for ourselves."""
        info = super().get_job_info()
        if job.is_active(info.type):
            self._transfer.observe(self._domain)
        return info

    def migrate_start_postcopy(self) -> Any:
        """Have the guest run on the destination, and not slowly."""
        self._transfer.pace.insist()
        started = super().migrate_start_postcopy()
        self._transfer.begin_post_copy()
        return started


def may_be_slow(
    instance: border.Instance, migrate_data: border.MigrateData
) -> bool:
    """Tell whether the transfer of a guest may be slow for a while.

    Not with disks that are copied, nor with parallel connections, nor that
    of a guest that is paused.
    """
    copies = (
        migrate_data is not None
        and 'block_migration' in migrate_data
        and migrate_data.block_migration
    )
    # Older releases do not have the option, and get() would raise then.
    connections = getattr(
        CONF.libvirt, 'live_migration_parallel_connections', None
    )
    return not (
        copies
        or (connections or 1) > 1
        or instance.vm_state == vm_states.PAUSED
    )
