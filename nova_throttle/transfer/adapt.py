# SPDX-License-Identifier: Apache-2.0

"""How many transfers a link takes at a time: more only while that pays.

One is right wherever one fills the link, and nobody has to know whether it
does: another one is let in, and has to go again if the link does not carry
more with it.
"""

from typing import NamedTuple

LEAST = 1
MOST = 8

# Seconds of one measurement, in which the link is never short of transfers.
WINDOW = 5.0

# Seconds until it is tried again what did not pay; doubled each time.
HOLD_OFF = 60.0
LONGEST_HOLD_OFF = 3840.0

# What has to be gained of what another transfer could bring at best.
PAYS = 0.5

# A guest converges if it writes less than this part of its share.
CONVERGES = 0.7


class Sample(NamedTuple):
    """What a link does right now.

    :param moved: bytes that all transfers over it have moved since ever.
    :param flowing: how many have it and are past their start.
    :param waits: whether anybody waits for it.
    :param dirty_rate: of the guest that writes most, bytes a second.
    :param dirty_rates: of all that have it together, bytes a second.
    """

    moved: int
    flowing: int
    waits: bool
    dirty_rate: float
    dirty_rates: float


class Number:
    """The number of transfers at a time of one link.

    Not the same transfers are compared but the same number of them: small
    guests are over before anything could be measured of each.
    """

    def __init__(self) -> None:
        self.value = LEAST
        self._began: tuple[float, int] | None = None
        # Headway with one less, bytes a second, while one more is tried.
        self._before: float | None = None
        self._tries_at = 0.0
        self._hold_off = HOLD_OFF

    def observe(self, sample: Sample, now: float) -> int:
        """Take in what the link does.

        :param now: seconds, monotonic.
        :returns: the number from now on.
        """
        if sample.flowing != self.value:
            self._began = None
            if not sample.waits:
                self._give_up()
            return self.value
        if self._began is None:
            self._began = now, sample.moved
        seconds = now - self._began[0]
        if seconds >= WINDOW:
            rate = (sample.moved - self._began[1]) / seconds
            self._began = None
            self._decide(sample, rate, now)
        return self.value

    def _decide(self, sample: Sample, rate: float, now: float) -> None:
        before, self._before = self._before, None
        # What was written meanwhile has to be sent again: the more guests
        # share the link, the more of what it carries is that.
        gain = max(0.0, rate - sample.dirty_rates)
        if before is not None:
            fewer = self.value - 1
            if gain < before * (1 + PAYS / fewer):
                self.value = fewer
                self._tries_at = now + self._hold_off
                self._hold_off = min(2 * self._hold_off, LONGEST_HOLD_OFF)
                return
            self._hold_off = HOLD_OFF
        share = rate / (self.value + 1)
        if (
            sample.waits
            and self.value < MOST
            and now >= self._tries_at
            and sample.dirty_rate < CONVERGES * share
        ):
            self._before = gain
            self.value += 1

    def _give_up(self) -> None:
        """End a try that comes to nothing: there is nobody to let in."""
        if self._before is not None:
            self._before = None
            self.value -= 1
