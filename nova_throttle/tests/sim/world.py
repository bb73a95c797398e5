# SPDX-License-Identifier: Apache-2.0

"""What is true, whatever the hosts believe: guests, records and time."""

import collections
import dataclasses
import random

from nova_throttle.admission import priority
from nova_throttle.agreement import claim as claim_lib
from nova_throttle.tests.sim import bus
from nova_throttle.tests.sim import faults
from nova_throttle.tests.sim import host as host_lib
from nova_throttle.tests.sim import loop
from nova_throttle.tests.sim import referee
from nova_throttle.tests.sim import source as source_lib

# Nova's own calls between a start and the arrival at the destination.
PREPARE = 0.2


@dataclasses.dataclass(eq=False)
class Migration:
    """A record of the database, and what is true of its guest.

    :param moving: whether it is in progress, in truth.
    :param on_wire: whether it is in the second stage, in truth.
    :param basis: why it started: 'offer', 'open' or 'plain'.
    :param attempt: how often it has started.
    """

    uuid: str
    source: str
    destination: str
    priority: int
    arrival: int
    duration: float
    submitted: float = 0.0
    status: str = 'queued'
    outcome: str = ''
    moving: bool = False
    on_wire: bool = False
    # Whether it waited for the gate of all before it started.
    racked: bool = False
    arrived: bool = False
    basis: str = ''
    attempt: int = 0
    offered_at: float = 0.0
    # The limit under which it was offered a slot.
    allowed: int = 0
    kept: bool = False
    overtaken: int = 0
    held: bool = False

    @property
    def order(self):
        """Its place among those that wait for its destination."""
        return priority.rank(self.priority, self.arrival), self.arrival


class World:
    """A fleet, and the requests that come to it."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.random = random.Random(scenario.seed)
        self.referee = referee.Referee(self)
        self.loop = loop.Loop(self.referee.watch)
        self.bus = bus.Bus(self.loop, self.random, scenario)
        self.faults = collections.Counter()
        self.migrations = {}
        self.unsettled = set()
        self.calm = False
        self.coming_to = collections.defaultdict(dict)
        self.leaving = collections.defaultdict(dict)
        self.recorded_to = collections.defaultdict(dict)
        self.hosts = {}
        self._add_hosts()
        self._add_requests()
        faults.Faults(self).plan()

    def run(self):
        """Let all requests be served, and then all be settled."""
        limit = self.scenario.span * 50 + 10**5
        self.loop.run(lambda: self.is_done or self.loop.now > limit)
        self.referee.served()
        self.loop.note('all is served')
        end = self.loop.now + 4 * self.scenario.interval
        self.loop.run(lambda: self.loop.now > end)
        self.referee.settled()

    @property
    def is_done(self):
        """Whether all that was asked is over, and no fault is left."""
        return not self.unsettled and self.calm

    def touch(self, host):
        """Have a host looked at after this step."""
        self.referee.touched[host] = None

    def count(self, fault):
        """Note that a fault was injected."""
        self.faults[fault] += 1
        self.loop.note('fault', fault)

    # The database

    def facts(self, host):
        """Return the records of what comes to a host and is not over.

        One whose source is dead counts only if its hypervisor shows it.
        """
        return [
            claim_lib.Fact(
                m.uuid, f'instance of {m.uuid}', m.source, self._owned(host, m)
            )
            for m in self._known_to(host)
            if m.moving
            or not (m.status == 'active' and self.hosts[m.source].is_down)
        ]

    def _known_to(self, host):
        if self.scenario.rack and host.name == source_lib.RACK:
            return sorted(self.unsettled, key=lambda m: m.arrival)
        return self.recorded_to[host.name].values()

    def _owned(self, host, migration):
        gates = []
        if migration.status == 'active':
            if migration.destination == host.name:
                gates.append('destination')
                if migration.on_wire:
                    gates.append('transfer-in')
            if self.scenario.rack and host.name == source_lib.RACK:
                gates.append('rack')
        return tuple(gates)

    def close(self, migration, outcome):
        """Make a record final."""
        self.loop.note('record', migration.uuid, outcome)
        migration.status, migration.outcome = 'final', outcome
        self.hosts[migration.source].journal.pop(migration, None)
        self.recorded_to[migration.destination].pop(migration.uuid, None)
        self.unsettled.discard(migration)

    # The guests

    def begin(self, source, migration):
        """A source starts a migration."""
        self.loop.note('starts', migration.uuid)
        migration.basis = 'plain'
        if source.source is not None:
            is_open = source.source.throttle.is_open(migration.destination)
            migration.basis = 'open' if is_open else 'offer'
        self.referee.begins(source, migration)
        migration.status, migration.moving = 'active', True
        migration.attempt += 1
        self.leaving[source.name][migration.uuid] = migration
        self.coming_to[migration.destination][migration.uuid] = migration
        attempt = migration.attempt
        self.loop.after(PREPARE, self._arrive, migration, attempt)
        if self.scenario.link and source.source is not None:
            self.loop.after(2 * PREPARE, self._advance, migration, attempt)
        else:
            self.loop.after(migration.duration, self.end, migration, attempt)
        self.referee.began(source, migration)

    def _advance(self, migration, attempt):
        source = self.hosts[migration.source]
        is_on = migration.moving and migration.attempt == attempt
        if is_on and source.source is not None:
            self.touch(source)
            source.source.advance(migration)

    def transfer(self, source, migration):
        """A migration goes on the wire."""
        self.loop.note('transfers', migration.uuid)
        self.referee.transfers(source, migration)
        migration.on_wire = True
        self.loop.after(
            migration.duration, self.end, migration, migration.attempt
        )

    def _arrive(self, migration, attempt):
        if not migration.moving or migration.attempt != attempt:
            return
        host = self.hosts[migration.destination]
        self.touch(host)
        if not host.up:
            self.end(migration, attempt)
            return
        migration.arrived = True
        self.loop.note('arrives', migration.uuid, host.name)
        if host.destination is not None:
            fact = claim_lib.Fact(
                migration.uuid, 'of it', migration.source, ('destination',)
            )
            host.destination.incoming.arrives(fact)

    def stop(self, migration):
        """A guest moves no more."""
        migration.moving = migration.arrived = False
        migration.on_wire = False
        self.leaving[migration.source].pop(migration.uuid, None)
        self.coming_to[migration.destination].pop(migration.uuid, None)

    def end(self, migration, attempt):
        """A migration is over; only a living source notes it."""
        if not migration.moving or migration.attempt != attempt:
            return
        self.loop.note('ends', migration.uuid)
        self.stop(migration)
        host = self.hosts[migration.source]
        self.touch(host)
        if host.source is not None:
            host.source.finish(migration)
        elif host.up:
            self.close(migration, 'done')

    # What is there, and what comes

    def _add_hosts(self):
        for number in range(self.scenario.hosts):
            host = host_lib.Host(
                self,
                f'h{number}',
                number >= self.scenario.plain,
                self.scenario.incoming,
                self.scenario.outgoing,
            )
            self.hosts[host.name] = host
            mute = self.scenario.hosts - self.scenario.mute
            host.mute = number >= mute
            host.start()
            phase = self.random.uniform(0, self.scenario.interval)
            self.loop.after(phase, self._check, host)

    def _check(self, host):
        host.check()
        self.loop.after(self.scenario.interval, self._check, host)

    def _add_requests(self):
        times = sorted(
            self.random.uniform(0, self.scenario.span)
            for _number in range(self.scenario.requests)
        )
        for arrival, time in enumerate(times, 1):
            migration = self._make(arrival)
            self.unsettled.add(migration)
            self.loop.after(time, self._submit, migration)

    def _make(self, arrival):
        names = list(self.hosts)
        destination = self.random.choice(names)
        if self.scenario.hot and self.random.random() < 0.8:
            destination = names[-1 - self.random.randrange(self.scenario.hot)]
        source = self.random.choice([n for n in names if n != destination])
        duration = self.random.uniform(0.5, 1.5) * self.scenario.duration
        priority = self.random.randrange(self.scenario.priorities)
        migration = Migration(
            f'm{arrival}', source, destination, priority, arrival, duration
        )
        return self.migrations.setdefault(migration.uuid, migration)

    def _submit(self, migration):
        host = self.hosts[migration.source]
        if not host.accepts:
            # Nova's message waits for the service.
            self.loop.after(5, self._submit, migration)
            return
        self.touch(host)
        self.loop.note('submit', migration.uuid, *migration.order)
        migration.submitted = self.loop.now
        self.recorded_to[migration.destination][migration.uuid] = migration
        host.submit(migration)
