# SPDX-License-Identifier: Apache-2.0

"""Guests that move over links, in virtual time."""

import dataclasses
import heapq
import itertools
import math

MIB = 2**20
GIB = 2**30

# What is slow: the least that libvirt can be told, bytes a second.
TRICKLE = 1 * MIB

# Seconds that a guest may pause at the end.
DOWNTIME = 0.5

PAGE = 4096

# One that has less than a byte left has nothing left.
_NOTHING = 1.0


class Loop:
    """Virtual time, in seconds, and what is to be done when."""

    def __init__(self):
        self.now = 0.0
        self._events = []
        self._order = itertools.count()

    def at(self, seconds, function, *args):
        """Have something done so many seconds from now."""
        when = self.now + seconds
        heapq.heappush(self._events, (when, next(self._order), function, args))

    def run(self, until=math.inf):
        """Go on until nothing is left to be done, or to an instant."""
        while self._events and self._events[0][0] <= until:
            self.now, _, function, args = heapq.heappop(self._events)
            function(*args)


@dataclasses.dataclass(frozen=True)
class Guest:
    """A server that migrates; sizes in bytes.

    :param source: number of its host.
    :param target: number of the host it goes to.
    :param dirty: bytes that it writes in a second.
    :param written: what it writes to, again and again.
    """

    name: str
    source: int
    target: int
    memory: int
    dirty: float
    written: int

    def wire(self, rate):
        """Return the seconds that its bytes take, alone at a rate."""
        left, seconds = float(self.memory), 0.0
        for _ in range(1000):
            lasts = left / rate
            seconds += lasts
            left = self.dirtied(lasts)
            if left < rate * DOWNTIME:
                return seconds + left / rate
        return math.inf

    def dirtied(self, seconds):
        """Return the bytes that it has written in a time, each once."""
        if not self.dirty:
            return 0.0
        return self.written * -math.expm1(-self.dirty * seconds / self.written)


class Flow:
    """One guest on the wire.

    :param end: called when its last byte has been sent.
    """

    def __init__(self, net, guest, slow, end):
        self.guest = guest
        self.slow = slow
        self.passes = 0
        self.sent = 0.0
        self.dirty_rate = 0.0
        self.rate = 0.0
        self.over = False
        self._net = net
        self._end = end
        self._left = float(guest.memory)
        self._began = self._seen = net.loop.now
        self._version = 0

    def set_rate(self, rate):
        """Go on at another rate."""
        if rate == self.rate:
            return
        self._catch_up()
        self.rate = rate
        self._plan()

    def stats(self):
        """Return what libvirt would tell."""
        self._catch_up()
        return {
            'memory_processed': int(self.sent),
            'memory_remaining': int(self._left),
            'memory_iteration': self.passes,
            'memory_dirty_rate': int(self.dirty_rate / PAGE),
            'memory_page_size': PAGE,
        }

    def begin(self):
        """Send the first byte."""
        self.passes = 1
        self._began = self._seen = self._net.loop.now

    def _catch_up(self):
        now = self._net.loop.now
        moved = min(self._left, self.rate * (now - self._seen))
        self.sent += moved
        self._left -= moved
        self._seen = now

    def _plan(self):
        self._version += 1
        if self.rate:
            seconds = self._left / self.rate
            self._net.loop.at(seconds, self._end_pass, self._version)

    def _end_pass(self, version):
        if version != self._version or self.over:
            return
        self._catch_up()
        if self.passes < 0:
            self.over = True
            self._net.remove(self)
            self._end()
            return
        now = self._net.loop.now
        lasted, self._began = now - self._began, now
        self._left = self.guest.dirtied(lasted)
        self.dirty_rate = self._left / lasted if lasted else 0.0
        self.passes += 1
        if self._left < self.rate * DOWNTIME:
            # The rest goes while it pauses.
            self.passes = -self.passes
        self._left = max(self._left, _NOTHING)
        self._plan()


class Net:
    """Hosts, each with a link of one speed both ways.

    :param speed: of each link, bytes a second.
    :param stream: what one transfer can carry at most, bytes a second.
    :param start: seconds from the start of a transfer to its first byte.
    """

    def __init__(self, loop, hosts, speed, stream=math.inf, start=0.0):
        self.loop = loop
        self.speed = speed
        self.stream = stream
        self.start = start
        self._out = [{} for _ in range(hosts)]
        self._in = [{} for _ in range(hosts)]
        # The most at full speed at a time over one link.
        self.most_full = 0

    def add(self, guest, end, slow=False):
        """Have a guest start to move; return its flow."""
        flow = Flow(self, guest, slow, end)
        self.loop.at(self.start, self._begin, flow)
        return flow

    def set_slow(self, flow, slow):
        """Set the speed of one that moves, or is about to."""
        if flow.slow != slow:
            flow.slow = slow
            if flow in self._out[flow.guest.source]:
                self._share(flow.guest)

    def remove(self, flow):
        """Note that nothing of one moves any more."""
        del self._out[flow.guest.source][flow]
        del self._in[flow.guest.target][flow]
        self._share(flow.guest)

    def _begin(self, flow):
        self._out[flow.guest.source][flow] = None
        self._in[flow.guest.target][flow] = None
        flow.begin()
        self._share(flow.guest)

    def _share(self, guest):
        out, into = self._out[guest.source], self._in[guest.target]
        for flow in {**out, **into}:
            flow.set_rate(self._rate(flow))

    def _rate(self, flow):
        if flow.slow:
            return TRICKLE
        return min(
            self.stream,
            self._part(self._out[flow.guest.source]),
            self._part(self._in[flow.guest.target]),
        )

    def _part(self, flows):
        slow = sum(flow.slow for flow in flows)
        full = len(flows) - slow
        self.most_full = max(self.most_full, full)
        return max(self.speed - slow * TRICKLE, TRICKLE) / full
