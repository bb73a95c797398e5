# SPDX-License-Identifier: Apache-2.0

"""Several hosts, two stages, and two gates elsewhere for each of them.

Whatever the order of requests, ends, cancels and messages: no gate gets a
new owner without a free slot (R1), what starts has all slots of its stage
(R2), and when no fault comes any more everything ends: no circle, and nobody
starves (R6).
"""

import collections
from concurrent import futures
import random

import hypothesis
from hypothesis import strategies as st
import testtools

from nova_throttle.admission import controller
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.tests.unit.admission import base

Standing = remote.Standing
Needs = request_lib.Needs
PAUSED = standstill.Standstill.PAUSED

FIRST, SECOND = 'in progress', 'transfer'
# Of each stage, and the same order for all.
NAMES = {FIRST: ('destination', 'rack'), SECOND: ('in', 'trunk')}
_ASKING = (Standing.READY, Standing.INSISTS)


class Elsewhere:
    """Keeps all gates of a name, and hears and says things late."""

    def __init__(self, limit):
        self.limit = limit
        self.owners = collections.defaultdict(dict)
        self._line = collections.defaultdict(dict)

    def hear(self, host, number, want):
        """Take up how a request stands; the messages of a host in order."""
        request, gate, standing = want
        uuid = request.migration_uuid
        owners, line = self.owners[gate], self._line[gate]
        line.pop(uuid, None)
        if standing in (Standing.WAITS, Standing.GONE):
            owners.pop(uuid, None)
        elif standing in _ASKING and uuid in owners:
            host.tell(number, remote.Granted(uuid, gate))
        elif standing in _ASKING:
            line[uuid] = (request.arrival, host, number)
        else:
            assert uuid in owners, 'R1: started without a slot'
        self._give(gate, owners, line)
        if uuid in line:
            host.tell(number, remote.Refused(uuid, gate))

    def _give(self, gate, owners, line):
        while line and len(owners) < self.limit:
            uuid = min(line, key=lambda uuid: line[uuid][0])
            _, host, number = line.pop(uuid)
            owners[uuid] = None
            host.tell(number, remote.Granted(uuid, gate))


class Host(remote.Keeper):
    """A controller, and the messages to and from it that are on the way."""

    def __init__(self, keepers, limits, patience):
        self._keepers = keepers
        # In order to each keeper; in no order from them.
        self.sent = {name: collections.deque() for name in keepers}
        self.coming = []
        self._said = {}
        self._numbers = 0
        self.running = {}
        self.throttle = controller.Controller(
            {FIRST: {'source': limits[0]}, SECOND: {'out': limits[1]}},
            self._start,
            keepers=dict.fromkeys(keepers, self),
            patience=patience,
        )
        self.limits = limits

    def note(self, want):
        self._numbers += 1
        self._said[want.request.migration_uuid, want.gate] = self._numbers
        self.sent[want.gate.name].append((self._numbers, want))

    def due(self):
        return ()

    def known(self):
        return {}

    def tell(self, number, answer):
        self.coming.append((number, answer))

    @property
    def talks_to(self):
        return [name for name, messages in self.sent.items() if messages]

    def deliver(self, name):
        number, want = self.sent[name].popleft()
        self._keepers[name].hear(self, number, want)

    def receive(self, index):
        number, answer = self.coming.pop(index)
        if self._said[answer.migration_uuid, answer.gate] != number:
            # Something newer was said: it is void.
            return
        if isinstance(answer, remote.Granted):
            self.throttle.grant(answer)
        else:
            self.throttle.answer(answer)

    def _start(self, grant):
        request, index = grant.request, [FIRST, SECOND].index(grant.stage)
        for gate in request.needs[index].remote:
            owners = self._keepers[gate.name].owners[gate]
            assert request.migration_uuid in owners, 'R2'
        self.running[request.migration_uuid] = grant.stage

    def go_on(self, uuid):
        """Enter the second stage, or end."""
        if self.running[uuid] == FIRST:
            self.running[uuid] = ''
            self.throttle.advance(uuid, futures.Future())
        elif self.running[uuid] == SECOND:
            del self.running[uuid]
            self.throttle.release(uuid, SECOND)
            self.throttle.finish(uuid)

    def cancel(self, uuid):
        assert self.throttle.cancel(uuid), 'R7'
        if self.running.pop(uuid, None) is not None:
            # It waited for the second stage, and owned the first.
            assert self.throttle.finish(uuid)

    def check(self):
        gates = self.throttle.snapshot().gates
        for name, limit in zip(('source', 'out'), self.limits, strict=True):
            assert len(gates[name].owners) <= limit, 'R1'


class Fleet:
    def __init__(self, dice, hosts, limit, patience):
        self.dice = dice
        names = [name for names in NAMES.values() for name in names]
        self.keepers = {name: Elsewhere(limit) for name in names}
        self.hosts = [
            Host(
                self.keepers,
                (dice.randint(1, 2), dice.randint(1, 2)),
                patience,
            )
            for _ in range(hosts)
        ]
        self.arrivals = 0

    def submit(self, host):
        self.arrivals += 1
        needs = [
            Needs(
                (local,),
                tuple(
                    request_lib.RemoteGate(name, self.dice.choice('xy'))
                    for name in NAMES[stage]
                    if self.dice.random() < 0.8
                ),
            )
            for stage, local in ((FIRST, 'source'), (SECOND, 'out'))
        ]
        host.throttle.submit(
            request_lib.Request(
                f'm{self.arrivals}',
                '',
                '',
                tuple(needs),
                arrival=self.arrivals,
            )
        )

    def step(self, calm=False):
        """Let something happen, if anything can.

        :param calm: nothing new comes, and nobody interferes.
        """
        host = self.dice.choice(self.hosts)
        chance = self.dice.random()
        moving = [u for u, stage in host.running.items() if stage]
        if host.talks_to and chance < 0.4:
            host.deliver(self.dice.choice(host.talks_to))
        elif host.coming and chance < 0.8:
            host.receive(self.dice.randrange(len(host.coming)))
        elif moving:
            host.go_on(self.dice.choice(moving))
        elif not calm and chance < 0.95:
            self.submit(host)
        elif not calm and chance < 0.97:
            host.throttle.halt(PAUSED)
        elif not calm:
            for request in host.throttle.waiting()[:1]:
                host.cancel(request.migration_uuid)
        if not calm and self.dice.random() < 0.2:
            host.throttle.resume(PAUSED)
        for keeper in self.keepers.values():
            for owners in keeper.owners.values():
                assert len(owners) <= keeper.limit, 'R1 elsewhere'
        host.check()

    @property
    def is_idle(self):
        return not any(
            host.talks_to
            or host.coming
            or host.running
            or host.throttle.snapshot().queue
            for host in self.hosts
        )


class ElsewhereTestCase(testtools.TestCase):
    @base.settings(40)
    @hypothesis.given(
        seed=st.integers(0, 2**32),
        hosts=st.integers(1, 3),
        limit=st.integers(1, 2),
        patience=st.sampled_from((1, 2, 8)),
    )
    def test_all_or_none_and_all_end(self, seed, hosts, limit, patience):
        fleet = Fleet(random.Random(seed), hosts, limit, patience)
        for _ in range(120):
            fleet.step()
        for host in fleet.hosts:
            host.throttle.resume(PAUSED)
        # Far more than it takes, if each step is of use.
        for _ in range(20000):
            if fleet.is_idle:
                break
            fleet.step(calm=True)
        self.assertTrue(fleet.is_idle, fleet.hosts[0].throttle)
        for keeper in fleet.keepers.values():
            self.assertEqual([], [o for o in keeper.owners.values() if o])
