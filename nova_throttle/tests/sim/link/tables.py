# SPDX-License-Identifier: Apache-2.0

"""What is simulated: drains of one host, and of many."""

import dataclasses
import math
import random

from nova_throttle.tests.sim.link import fluid
from nova_throttle.tests.sim.link import ours
from nova_throttle.tests.sim.link import rules

GIB, MIB = fluid.GIB, fluid.MIB

# Bytes a second of a link of 10 and of 25 Gbit/s.
TEN = 10**10 / 8
TWENTY_FIVE = 25 * 10**9 / 8

AUTO, HOLD = 'auto', 'hold before the start, k=1'


def deck(number):
    """Name our rule with a number that nobody adapts."""
    return f'hold, one on deck, k={number}'


@dataclasses.dataclass(frozen=True)
class Drain:
    """Guests that leave hosts.

    :param start: seconds from the start of a transfer to its first byte.
    :param finish: seconds of the clean-up after the last byte.
    :param until: seconds until one that is not over counts as never.
    :param limit: ours, on what is in progress on each host.
    """

    title: str
    guests: tuple
    hosts: int
    speed: float
    start: float
    finish: float
    stream: float = math.inf
    until: float = 3600.0
    limit: int = 4
    poll: float = 0.5

    def net(self):
        """Return its links, idle."""
        return fluid.Net(
            fluid.Loop(), self.hosts, self.speed, self.stream, self.start
        )

    def by(self, rule):
        """Return when each guest was done by another's rule."""
        net = self.net()
        return rules.simulate(rule, net, self.guests, self.finish, self.until)

    def by_us(self, **options):
        """Return when each guest was done by ours."""
        options = {'limit': self.limit, 'poll': self.poll, **options}
        return ours.simulate(
            self.net(),
            self.hosts,
            self.guests,
            self.finish,
            self.until,
            **options,
        )

    def bound(self):
        """Return the seconds that the busiest link needs at least."""
        rate = min(self.stream, self.speed)
        ports = {}
        for guest in self.guests:
            # On a link that one cannot fill others go beside it.
            seconds = guest.wire(rate) * rate / self.speed
            for port in (('out', guest.source), ('in', guest.target)):
                ports[port] = ports.get(port, 0.0) + seconds
        return max(ports.values()) + self.start + self.finish


def alike(count, memory, dirty, written):
    """Return guests that all leave host 0 for host 1."""
    return tuple(
        fluid.Guest(f'{n:03}', 0, 1, int(memory), dirty, int(written))
        for n in range(count)
    )


def lab(dirty):
    """Return the drain of the lab, at so many bytes a second written."""
    return Drain(
        f'8 guests, 100 MiB, 23 MiB/s, write {dirty // MIB} MiB/s',
        alike(8, 100 * MIB, dirty, 32 * MIB),
        2,
        23 * MIB,
        1.5,
        1.0,
        until=600,
    )


def ten(start=4.0):
    """Return a drain over 10 Gbit/s."""
    return Drain(
        f'40 guests, 8 GiB, 10 Gbit/s, write 150 MiB/s, start {start:g} s',
        alike(40, 8 * GIB, 150 * MIB, 1.5 * GIB),
        2,
        TEN,
        start,
        6.0,
    )


def twenty_five():
    """Return a drain over 25 Gbit/s that one stream cannot fill."""
    return Drain(
        '40 guests, 16 GiB, 25 Gbit/s, streams of 1200 MiB/s, write 200 MiB/s',
        alike(40, 16 * GIB, 200 * MIB, 2 * GIB),
        2,
        TWENTY_FIVE,
        4.0,
        6.0,
        stream=1200 * MIB,
        limit=10,
    )


def stuck():
    """Return a drain whose first guest writes faster than the link."""
    first = fluid.Guest('stuck', 0, 1, 64 * GIB, 4 * TEN, 60 * GIB)
    others = alike(10, 8 * GIB, 150 * MIB, 1.5 * GIB)
    return Drain(
        'One guest of 64 GiB that never ends, first of 11, 10 Gbit/s',
        (first, *others),
        2,
        TEN,
        4.0,
        6.0,
        until=900,
    )


def fleet(sources, targets, count, seed=1):
    """Return many hosts that are drained at the same time."""
    chance = random.Random(seed)
    guests = tuple(
        fluid.Guest(
            f'{n:05}',
            n % sources,
            sources + chance.randrange(targets),
            chance.choice((4, 8, 16)) * GIB,
            50 * MIB,
            GIB,
        )
        for n in range(count)
    )
    return Drain(
        f'{sources} hosts to {targets} others, {count} guests, 10 Gbit/s',
        guests,
        sources + targets,
        TEN,
        2.0,
        4.0,
        until=math.inf,
        # What is looked at more often is not seen from so far away.
        poll=0.5 if count < 2000 else 1.0,
    )


OURS = {
    HOLD: {'transfers': 1, 'early': False},
    **{deck(k): {'transfers': k, 'limit': k + 3} for k in (1, 2, 3, 4)},
    AUTO: {},
}


def last(ended, drain):
    """Return when the last was done; infinite if one was not."""
    if len(ended) < len(drain.guests):
        return math.inf
    return max(ended.values())
