# SPDX-License-Identifier: Apache-2.0

"""What becomes of a transfer that makes no headway.

First it gets the link for itself: no schedule can give it more. If it stalls
then, too, it gives the link to who waits, and has a longer turn next time.
What ends it in the end are Nova's own timeout and action.
"""

import enum

from nova_throttle.transfer import progress as progress_lib

# Passes without headway until something is done about it; doubled with each
# turn that was given away.
PATIENCE = 3


class Verdict(enum.Enum):
    """What to do about one transfer: a closed set."""

    GO_ON = 'go on'
    # Nobody else may have the link with it.
    ALONE = 'alone'
    # It trickles, and waits for its next turn.
    ASIDE = 'aside'


class Patience:
    """How long one transfer may stall, over all its turns."""

    def __init__(self) -> None:
        self._turns = 0
        self._passes = 0

    def judge(self, progress: progress_lib.Progress, shared: bool) -> Verdict:
        """Judge a transfer in its turn.

        :param progress: of it.
        :param shared: whether others may have the link as well.
        """
        stalled = progress.stalled
        if not stalled:
            self._passes = 0
        if stalled - self._passes < PATIENCE * 2**self._turns:
            return Verdict.GO_ON
        if shared:
            self._passes = stalled
            return Verdict.ALONE
        if not may_trickle(progress):
            return Verdict.GO_ON
        self._turns += 1
        self._passes = stalled
        return Verdict.ASIDE

    def begin_turn(self, progress: progress_lib.Progress) -> None:
        """Count no pass that went at a trickle."""
        self._passes = progress.stalled


def may_trickle(progress: progress_lib.Progress) -> bool:
    """Tell whether a transfer past its first pass may be slowed down.

    QEMU would slow down the guest with auto-converge; a guest in post-copy
    waits for each of its pages; and disks are not slowed down at all.
    """
    return not (progress.auto_converge or progress.post_copy or progress.block)
