# SPDX-License-Identifier: Apache-2.0

"""When the next transfer may start early, at a trickle.

It starts on deck while one that has the link ends, so that all that goes
before the first byte is over when its turn comes. There it is in its first
pass only: from the second on QEMU may slow the guest of a trickle down.
"""

from nova_throttle.transfer import progress as progress_lib

# What a start takes until one is measured; and at most, so that one that hung
# does not put all later ones on deck far too early. Seconds.
LEAD = 2.0
LONGEST_LEAD = 30.0

# How much a new start counts against those before.
WEIGHT = 0.3

# Seconds between two observations of a transfer: Nova's monitor has this
# period. What is seen to end may have ended one sooner.
PERIOD = 0.5


class Lead:
    """Seconds from the start of a transfer until its first byte."""

    def __init__(self) -> None:
        self.seconds = LEAD

    def learn(self, seconds: float) -> None:
        """Take in what one start took."""
        seconds = min(max(seconds, 0.0), LONGEST_LEAD)
        self.seconds += WEIGHT * (seconds - self.seconds)


def ends_soon(progress: progress_lib.Progress, lead: float) -> bool:
    """Tell whether a transfer ends before another could begin.

    Of one that makes no headway nobody knows when it ends.

    :param lead: seconds that a start takes.
    """
    return (
        progress.eta is not None
        and progress.eta < lead + PERIOD
        and not progress.stalled
    )


def may_stay(progress: progress_lib.Progress) -> bool:
    """Tell whether a transfer may still be on deck."""
    return progress.iteration <= 1 and not (
        progress.post_copy or progress.block
    )
