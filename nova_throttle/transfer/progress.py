# SPDX-License-Identifier: Apache-2.0

"""How far the transfer of one guest is, and how fast it goes.

Rates are measured, never taken from QEMU's own, which is of one instant. What
is not known yet is 0, or None for the estimated end.
"""

from collections.abc import Mapping
import dataclasses
import math

# Seconds over which a rate is averaged.
AVERAGED = 5.0

# Seconds that the guest may pause at the end: Nova's and QEMU's default.
DOWNTIME = 0.5

# A pass that begins with more than this share of the least that an earlier
# one began with has made no headway.
HEADWAY = 0.9


@dataclasses.dataclass(frozen=True)
class Progress:
    """One transfer at one instant.

    :param done: bytes of memory and disks that were sent, repeats included.
    :param remaining: bytes that are to be sent, as far as is known now.
    :param rate: bytes a second.
    :param dirty_rate: bytes of memory that the guest writes in a second; 0
        in the first pass, in which QEMU does not know it.
    :param iteration: the pass over the memory, from 1; 0 before the first.
    :param stalled: how many passes in a row have made no headway.
    :param eta: seconds until it ends at these rates; None while unknown.
    :param post_copy: whether the guest runs on the destination already.
    :param block: whether disks are copied.
    :param auto_converge: whether QEMU may slow the guest down.
    :param slow: whether it goes slowly because others go first.
    """

    done: int = 0
    remaining: int = 0
    rate: float = 0.0
    dirty_rate: float = 0.0
    iteration: int = 0
    stalled: int = 0
    eta: float | None = None
    post_copy: bool = False
    block: bool = False
    auto_converge: bool = False
    slow: bool = False

    @property
    def is_on_wire(self) -> bool:
        """Whether the hypervisor has begun to send."""
        return self.done + self.remaining > 0

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None before it begins.

        It falls when the guest writes faster than is sent.
        """
        total = self.done + self.remaining
        return self.done / total if total else None


class Estimator:
    """Makes progress of what libvirt tells of one migration job.

    >>> estimator = Estimator()
    >>> stats = {'memory_processed': 0, 'memory_remaining': 3000}
    >>> estimator.observe(stats, now=10.0).eta is None
    True
    >>> stats = {'memory_processed': 1000, 'memory_remaining': 2000}
    >>> estimator.observe(stats, now=11.0).rate
    1000.0

    Not safe to be used by two threads at a time.

    :param downtime: seconds that the guest may pause at the end.
    :param block: whether disks are copied.
    :param auto_converge: whether QEMU may slow the guest down.
    """

    def __init__(
        self,
        downtime: float = DOWNTIME,
        *,
        block: bool = False,
        auto_converge: bool = False,
    ) -> None:
        self._downtime = downtime
        self._rate = _Rate()
        self._passes = _Passes()
        self._last = Progress(block=block, auto_converge=auto_converge)

    @property
    def last(self) -> Progress:
        """The last progress; of zeros before the first."""
        return self._last

    def observe(self, stats: Mapping[str, object], now: float) -> Progress:
        """Take in what virDomainGetJobStats has returned.

        What it lacks counts as 0: so does all of a job not begun yet.

        :param stats: by libvirt's keys.
        :param now: seconds, on a monotonic clock.
        """
        done = _sum(stats, 'memory_processed', 'disk_processed')
        self._rate.observe(done, now)
        self._passes.observe(
            _number(stats, 'memory_iteration'),
            _number(stats, 'memory_remaining'),
        )
        self._last = self._estimate(
            dataclasses.replace(
                self._last,
                done=done,
                remaining=_sum(stats, 'memory_remaining', 'disk_remaining'),
                rate=self._rate.value,
                dirty_rate=_dirty_rate(stats),
                iteration=self._passes.number,
                stalled=self._passes.stalled,
                block=self._last.block or _number(stats, 'disk_total') > 0,
                post_copy=self._last.post_copy
                or _number(stats, 'memory_postcopy_requests') > 0,
                auto_converge=self._last.auto_converge
                or _number(stats, 'auto_converge_throttle') > 0,
            )
        )
        return self._last

    def begin_post_copy(self) -> None:
        """Note that the guest runs on the destination from now on."""
        self._last = dataclasses.replace(self._last, post_copy=True)

    def change_speed(self) -> None:
        """Note that it goes at another speed: the old rate says nothing."""
        self._rate = _Rate()

    def _estimate(self, progress: Progress) -> Progress:
        rate, dirty = progress.rate, progress.dirty_rate
        if not rate:
            return dataclasses.replace(progress, eta=None)
        if progress.post_copy:
            seconds = progress.remaining / rate
        else:
            # The last of it is sent while the guest pauses.
            left = max(0.0, progress.remaining - rate * self._downtime)
            seconds = left / max(rate - dirty, rate / 10)
        return dataclasses.replace(progress, eta=seconds)


class _Rate:
    """Bytes a second, averaged so that what is old counts less and less."""

    def __init__(self) -> None:
        self.value = 0.0
        self._seen: tuple[int, float] | None = None
        self._weight = 0.0

    def observe(self, done: int, now: float) -> None:
        before, self._seen = self._seen, (done, now)
        if before is None:
            return
        delta, seconds = done - before[0], now - before[1]
        if delta < 0:
            # Another job.
            self.value = self._weight = 0.0
        elif seconds <= 0:
            self._seen = before
        elif delta or self.value:
            # The time before the first byte is start-up, which is no rate.
            self._average(delta / seconds, seconds)

    def _average(self, rate: float, seconds: float) -> None:
        """Take in a rate, so that the first ones are not averaged with 0."""
        kept = self._weight * math.exp(-seconds / AVERAGED)
        added = 1 - math.exp(-seconds / AVERAGED)
        self._weight = kept + added
        self.value = (kept * self.value + added * rate) / self._weight


class _Passes:
    """The passes over the memory, and whether they make headway."""

    def __init__(self) -> None:
        self.number = 0
        self.stalled = 0
        self._least: int | None = None

    def observe(self, number: int, remaining: int) -> None:
        if number < self.number:
            # Another job.
            self.number, self.stalled, self._least = 0, 0, None
        if number <= self.number:
            return
        self.number = number
        least = self._least
        if least is not None and remaining > HEADWAY * least:
            self.stalled += 1
        else:
            self.stalled = 0
        self._least = remaining if least is None else min(least, remaining)


def _number(stats: Mapping[str, object], key: str) -> int:
    value = stats.get(key)
    return max(0, int(value)) if isinstance(value, int | float) else 0


def _dirty_rate(stats: Mapping[str, object]) -> float:
    pages = _number(stats, 'memory_dirty_rate')
    return float(pages * _number(stats, 'memory_page_size'))


def _sum(stats: Mapping[str, object], *keys: str) -> int:
    return sum(_number(stats, key) for key in keys)
