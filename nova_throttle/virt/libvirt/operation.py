# SPDX-License-Identifier: Apache-2.0

"""The migration call to libvirt, with an abort that can't be lost.

An abort that comes before the call keeps it from being made; one that comes
while libvirt has not registered the job yet is repeated until it has.
"""

from collections.abc import Callable
from concurrent import futures
import threading
import time

from nova_throttle import exception

# Seconds between two attempts to abort a job that libvirt does not show yet,
# and until giving up. libvirt has no event for a job that begins.
RETRY_INTERVAL = 0.1
RETRY_TIMEOUT = 30.0


class Operation:
    """One call that migrates a guest, made on its own thread.

    ``future`` is done when the call is over, and carries what it raised.

    :param instance_uuid: whose guest migrates.
    """

    def __init__(self, instance_uuid: str) -> None:
        self.instance_uuid = instance_uuid
        self.future: futures.Future[None] = futures.Future()
        self.abort_requested = False
        self._lock = threading.Lock()

    def run(self, call: Callable[[], object]) -> None:
        """Make the call, unless an abort or the end came before."""
        with self._lock:
            wanted = self.future.set_running_or_notify_cancel()
            aborted = self.abort_requested
        if not wanted:
            return
        try:
            if aborted:
                raise exception.MigrationAborted(
                    instance_uuid=self.instance_uuid
                )
            call()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(None)

    def has_succeeded(self) -> bool:
        """Wait until the call is over, and tell whether it was good."""
        if self.future.cancelled():
            return False
        futures.wait([self.future])
        return self.future.exception() is None

    def join(self) -> None:
        """Wait until the call is over; one not made yet is never made."""
        if not self.future.cancel():
            futures.wait([self.future])

    def abort(
        self, abort_job: Callable[[], None], has_job: Callable[[], bool]
    ) -> None:
        """Abort the call.

        :param abort_job: asks libvirt to abort; raises if it will not.
        :param has_job: tells whether libvirt shows a job.
        """
        with self._lock:
            self.abort_requested = True
            if not self.future.running() and not self.future.done():
                return  # run() will see it
        deadline = time.monotonic() + RETRY_TIMEOUT
        while True:
            try:
                return abort_job()
            except Exception:
                # Refused, or too early?
                if (
                    self.future.done()
                    or has_job()
                    or time.monotonic() > deadline
                ):
                    self.abort_requested = False
                    raise
            futures.wait([self.future], RETRY_INTERVAL)
