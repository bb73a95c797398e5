# SPDX-License-Identifier: Apache-2.0

"""When a host looks again whether a gate has room.

Every two seconds, more or less, so that hosts do not look all at once; soon
after somebody gave a slot back; the less often the more others there seem to
be, and the more often the longer it has waited. No other order is kept
between hosts.
"""

from collections.abc import Callable
from collections.abc import Sequence

from nova_throttle.admission import priority
from nova_throttle.placement import keeper

# Seconds between two looks of a host whose request has just been refused,
# and the part by which it is shorter or longer.
INTERVAL = 2.0
JITTER = 0.5

# Seconds within which it looks after a hint; and how much later than those
# whose priority is higher than normal.
AFTER_HINT = 0.2
LATER_NORMAL = 0.2
LATER_BACKGROUND = 1.0

# Where many wait, few that look at once are enough: each time that others were
# faster makes it half as likely that a hint is followed, down to this.
RAREST = 1 / 64

# How many times as long it waits until the next look, where others were faster
# so many times.
SLOWEST = 4
MANY = 8

# How many times as often as these it looks in the end, and the seconds until
# then.
OLDEST = 4
FULL_AGE = 600.0


class Patience:
    """Says when it is time to look again.

    :param clock: seconds, monotonic.
    :param uniform: a random number between two.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._clock = clock
        self._uniform = uniform
        self._at: float | None = None
        self._hinted = False
        # How often others were faster since this host got a slot.
        self._lost = 0

    def hint(self) -> None:
        """Note that somebody gave a slot back."""
        if self._uniform(0, 1) <= max(RAREST, 0.5**self._lost):
            self._hinted = True

    def win(self) -> None:
        """Note that there was room for all that waited."""
        self._lost = 0

    def lose(self) -> None:
        """Note that others were faster."""
        self._lost += 1

    def is_due(self, waiting: Sequence[keeper.Entry]) -> bool:
        """Tell whether to look now; if so, the next time is another."""
        delay = self.delay(waiting)
        if delay is None or delay > 0:
            return False
        self._at = None
        return True

    def delay(self, waiting: Sequence[keeper.Entry]) -> float | None:
        """Return the seconds until the next look; None if nothing waits.

        :param waiting: what was refused.
        """
        hinted, self._hinted = self._hinted, False
        if not waiting:
            self._at = None
            return None
        now = self._clock()
        faster = 1 + (OLDEST - 1) * min(1.0, _age(waiting, now) / FULL_AGE)
        slower = 1 + (SLOWEST - 1) * min(1.0, self._lost / MANY)
        if self._at is None:
            interval = INTERVAL * max(1.0, slower / faster)
            self._at = now + self._spread(interval)
        if hinted:
            soon = now + self._uniform(0, AFTER_HINT / faster)
            soon += _later(waiting)
            self._at = min(self._at, soon)
        return max(0.0, self._at - now)

    def _spread(self, interval: float) -> float:
        return interval * self._uniform(1 - JITTER, 1 + JITTER)


def _later(waiting: Sequence[keeper.Entry]) -> float:
    """Return for how long one leaves others the lead, by its first class."""
    first = min(entry.request.priority for entry in waiting)
    if first < priority.Priority.NORMAL:
        return 0.0
    is_normal = first == priority.Priority.NORMAL
    return LATER_NORMAL if is_normal else LATER_BACKGROUND


def _age(waiting: Sequence[keeper.Entry], now: float) -> float:
    """Return for how long the one has waited that was refused first."""
    return max(
        0.0 if entry.since is None else now - entry.since for entry in waiting
    )
