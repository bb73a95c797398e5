# SPDX-License-Identifier: Apache-2.0

"""The port between a driver that moves guests and who watches it do so."""

from nova_throttle.transfer import pace as pace_lib
from nova_throttle.transfer import progress as progress_lib


class Watcher:
    """Is told of each transfer by the driver; this one does nothing.

    Its methods are called in threads of the driver, and return at once.
    """

    def pace_of(self, instance_uuid: str) -> pace_lib.Pace:
        """Return how fast the transfer of a server may be.

        It is asked once, before that begins.
        """
        return pace_lib.Pace()

    def note(
        self, instance_uuid: str, progress: progress_lib.Progress
    ) -> None:
        """Take up how far a transfer is, about twice a second."""

    def end(self, instance_uuid: str) -> None:
        """Note that nothing of a guest moves any more.

        It comes before anything is cleaned up; twice is harmless.
        """
