# SPDX-License-Identifier: Apache-2.0

"""The rules of others: a migration starts whole, or waits.

Each has its slots from the start to the end of the clean-up.
"""

import collections
import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Rule:
    """Limits, each on what is in progress; how often it looks.

    :param out: of one source.
    :param into: of one destination.
    :param either: of one host, both ways together.
    :param cluster: of all hosts together.
    :param poll: seconds between two looks; 0 starts the next at once.
    """

    name: str
    out: float = math.inf
    into: float = math.inf
    either: float = math.inf
    cluster: float = math.inf
    poll: float = 0.0


def nova(limit):
    """Return Nova's rule: each source has its own limit, in order."""
    return Rule(f'Nova, limit {limit or "none"}', out=limit or math.inf)


KUBEVIRT = Rule('KubeVirt', out=2, cluster=5, poll=5)
DVP = Rule('DVP', out=1, into=1, poll=5)
VSPHERE = Rule('vSphere', either=8)
OVIRT = Rule('oVirt', out=2, into=2, poll=10)

OTHERS = (KUBEVIRT, DVP, VSPHERE, OVIRT)


class Other:
    """Guests that migrate by a rule.

    :param finish: seconds of the clean-up after the last byte.
    """

    def __init__(self, rule, net, finish):
        self._rule = rule
        self._net = net
        self._finish = finish
        self._waiting = collections.defaultdict(collections.deque)
        self._out = collections.Counter()
        self._in = collections.Counter()
        self._all = 0
        self.ended = {}

    def submit(self, guests):
        """Have guests migrate."""
        for guest in guests:
            self._waiting[guest.source].append(guest)
        self._look()

    def _look(self):
        for source in list(self._waiting):
            self._look_at(source)
        if self._rule.poll and any(self._waiting.values()):
            self._net.loop.at(self._rule.poll, self._look)

    def _look_at(self, source):
        passed = []
        waiting = self._waiting[source]
        while waiting and self._has_room(source):
            guest = waiting.popleft()
            if self._has_room(source, guest.target):
                self._start(guest)
            else:
                passed.append(guest)
        waiting.extendleft(reversed(passed))
        if not waiting:
            del self._waiting[source]

    def _has_room(self, source, target=None):
        rule = self._rule
        busy = self._out[source] + self._in[source]
        room = (
            self._all < rule.cluster
            and self._out[source] < rule.out
            and busy < rule.either
        )
        if target is None or not room:
            return room
        busy = self._out[target] + self._in[target]
        return self._in[target] < rule.into and busy < rule.either

    def _start(self, guest):
        self._count(guest, 1)
        self._net.add(guest, lambda: self._sent(guest))

    def _count(self, guest, change):
        self._all += change
        self._out[guest.source] += change
        self._in[guest.target] += change

    def _sent(self, guest):
        self._net.loop.at(self._finish, self._end, guest)

    def _end(self, guest):
        self._count(guest, -1)
        self.ended[guest.name] = self._net.loop.now
        if not self._rule.poll:
            self._next(guest)

    def _next(self, guest):
        if math.isinf(self._rule.into) and math.isinf(self._rule.either):
            self._look_at(guest.source)
        else:
            for source in list(self._waiting):
                self._look_at(source)


def simulate(rule, net, guests, finish, until=math.inf):
    """Return when each guest was done, by its name; those that were."""
    other = Other(rule, net, finish)
    other.submit(guests)
    net.loop.run(until)
    return other.ended
