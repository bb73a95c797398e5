# SPDX-License-Identifier: Apache-2.0

"""Hosts that take slots in a Placement that fails, delays and repeats.

Whatever happens, crashes included: no gate gets an owner without a free slot
(R1), nothing is in progress without a slot of all its gates (R2), and once
Placement is well again all comes to its end and nothing is left (R11).
"""

import collections
import dataclasses
import random
import uuid

import hypothesis
from hypothesis import strategies as st
import testtools

from nova_throttle.admission import controller
from nova_throttle.admission import priority
from nova_throttle.admission import request as request_lib
from nova_throttle.placement import broker as broker_lib
from nova_throttle.placement import keeper as keeper_lib
from nova_throttle.placement import names
from nova_throttle.placement import store as store_lib
from nova_throttle.tests.unit.admission import base
from nova_throttle.tests.unit.placement import fake

CLUSTER = fake.make_gate('cluster')
RACK = fake.make_gate('rack', 'host-0', 'host-1')
TROUBLES = ('refused', 'error', 'repeated', 'lost', 'late', 'raced')
HOSTS = [f'host-{number}' for number in range(3)]


class Host:
    """The requests of one host, in one of its lives."""

    def __init__(self, world, name, limit=2):
        self.name = name
        self._world = world
        self.running = {}
        self.keeper = keeper_lib.Keeper()
        self.throttle = controller.Controller(
            {base.STAGE: {'source': limit}},
            self._start,
            tell=self._wake,
            keepers={keeper_lib.SHARED.name: self.keeper},
            clock=lambda: world.now,
        )
        self.broker = broker_lib.Broker(
            name,
            lambda: store_lib.Store(world.placement),
            self.keeper,
            self.throttle,
            listener=self,
            clock=lambda: world.now,
            uniform=world.random.uniform,
        )
        self.due = world.now

    def submit(self, request):
        self.throttle.submit(request)

    def adopt(self, request):
        self.running[request.migration_uuid] = request
        self.throttle.adopt(request)

    def finish(self, migration_uuid):
        del self.running[migration_uuid]
        self.throttle.finish(migration_uuid)

    def _start(self, grant):
        request = grant.request
        self.running[request.migration_uuid] = request
        self._world.check()

    def _wake(self, party):
        self.due = self._world.now

    def step(self):
        delay = self.broker.step()
        self.due = float('inf') if delay is None else self._world.now + delay

    # The broker's listener

    def away(self, *args):
        pass

    back = leaked = away

    def made_room(self, gates):
        for host in self._world.hosts.values():
            host.broker.hint(gates)
            host.due = self._world.now


class World:
    def __init__(self, seed, limits, hosts=HOSTS):
        self.random = random.Random(seed)
        self.now = 0.0
        self.placement = fake.Placement(limits)
        self.hosts = {}
        for name in hosts:
            self.hosts[name] = Host(self, name)
        self._count = 0

    def new_request(self, host):
        self._count += 1
        return request_lib.Request(
            migration_uuid=str(uuid.UUID(int=self._count, version=4)),
            instance_uuid='',
            destination=self.random.choice(HOSTS),
            needs=(request_lib.Needs(('source',), (keeper_lib.SHARED,)),),
            arrival=self._count,
        )

    def crash(self, name):
        """Begin a new life, with what is in progress and what is queued."""
        dead = self.hosts[name]
        born = self.hosts[name] = Host(self, name)
        for request in dead.running.values():
            born.adopt(request_lib.renewed(request))
        for waiting in dead.throttle.waiting():
            request = request_lib.renewed(waiting)
            born.submit(request)

    def pass_time(self, seconds):
        """Let each host do what is due, in its order."""
        end = self.now + seconds
        while True:
            host = min(self.hosts.values(), key=lambda host: host.due)
            if host.due > end:
                break
            self.now = max(self.now, host.due)
            host.step()
            self.check()
        self.now = end

    def check(self):
        used = collections.Counter()
        for host in self.hosts.values():
            for request in host.running.values():
                wanted = {
                    gate.uuid
                    for gate in self.placement.gates.values()
                    if gate.concerns(host.name, request.destination)
                }
                consumer = names.consumer_of(request.migration_uuid)
                held = self.placement.held.get(consumer, set())
                assert wanted == held, 'R2: in progress without its slots'
                used.update(wanted)
        for gate, count in used.items():
            assert count <= self.placement.limits[gate], 'R1'

    def come_to_rest(self):
        """End all, with a Placement that is well."""
        self.placement.trouble = None
        for work in self.placement.late:
            work()
        for _ in range(200):
            for host in self.hosts.values():
                host.broker.look()
                host.due = self.now
                for migration_uuid in list(host.running):
                    host.finish(migration_uuid)
            self.pass_time(10)
            if self._is_at_rest():
                break
        assert self._is_at_rest()

    def _is_at_rest(self):
        return not any(
            host.running or host.throttle.waiting() or host.keeper.frees()
            for host in self.hosts.values()
        )


class MachineTestCase(testtools.TestCase):
    @base.settings(60)
    @hypothesis.given(
        seed=st.integers(0, 2**32),
        limits=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    )
    def test_whatever_happens(self, seed, limits):
        world = World(seed, dict(zip((CLUSTER, RACK), limits, strict=True)))
        for _ in range(60):
            self._do_something(world)
        world.come_to_rest()
        self.assertEqual({}, world.placement.held)

    def _do_something(self, world):
        host = world.hosts[world.random.choice(HOSTS)]
        what = world.random.random()
        if what < 0.3:
            host.submit(world.new_request(host))
        elif what < 0.5 and host.running:
            host.finish(world.random.choice(sorted(host.running)))
        elif what < 0.55:
            world.crash(host.name)
        elif what < 0.6 and world.placement.late:
            world.placement.late.pop()()
        elif what < 0.7 and host.throttle.waiting():
            request = world.random.choice(host.throttle.waiting())
            request.ticket.cancel()
        elif what < 0.85:
            world.placement.trouble = world.random.choice(TROUBLES)
        world.pass_time(world.random.uniform(0, 3))


class CostTestCase(testtools.TestCase):
    def test_requests_of_hosts_that_wait(self):
        """Each asks every two seconds who the owners are."""
        count, seconds = 100, 60
        hosts = [f'host-{number}' for number in range(count)]
        world = World(1, {CLUSTER: 1}, hosts)
        for host in world.hosts.values():
            host.submit(world.new_request(host))
        world.pass_time(5)
        before = world.placement.requests
        world.pass_time(seconds)
        rate = (world.placement.requests - before) / seconds / count
        self.assertLess(0.4, rate)
        self.assertLess(rate, 0.7)

    def test_a_hint_costs_little_where_many_wait(self):
        count = 100
        hosts = [f'host-{number}' for number in range(count)]
        world = World(1, {CLUSTER: 1}, hosts)
        for host in world.hosts.values():
            host.submit(world.new_request(host))
        world.pass_time(5)
        for _ in range(20):
            host = next(h for h in world.hosts.values() if h.running)
            before = world.placement.requests
            host.finish(*host.running)
            world.pass_time(0.25)
            cost = world.placement.requests - before
            world.pass_time(5)
        self.assertLess(cost, count / 2)

    def test_what_asks_at_once_is_served_at_once(self):
        """Its destination has no gate, so the first that it says is READY."""
        world = World(1, {CLUSTER: 1})
        world.pass_time(1)
        host = world.hosts['host-0']
        host.submit(world.new_request(host))
        world.pass_time(0)
        self.assertEqual(1, len(host.running))

    def test_a_drain_is_first_after_a_hint(self):
        firsts = []
        for seed in range(5):
            world = World(seed, {CLUSTER: 1})
            owner, other, drains = world.hosts.values()
            owner.submit(world.new_request(owner))
            world.pass_time(1)
            other.submit(world.new_request(other))
            drains.submit(
                dataclasses.replace(
                    world.new_request(drains),
                    priority=priority.Priority.DRAIN,
                )
            )
            world.pass_time(0)
            # Not at the moment at which they look anyhow.
            owner.finish(*owner.running)
            world.pass_time(3)
            first = drains if drains.running else other
            self.assertTrue(first.running)
            firsts.append(first.name)
        self.assertEqual(['host-2'] * 5, firsts)

    def test_everybody_gets_a_turn(self):
        hosts = [f'host-{number}' for number in range(20)]
        world = World(1, {CLUSTER: 2}, hosts)
        for host in world.hosts.values():
            for _ in range(3):
                host.submit(world.new_request(host))
        world.come_to_rest()
        self.assertEqual({}, world.placement.held)
