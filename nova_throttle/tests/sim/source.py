# SPDX-License-Identifier: Apache-2.0

"""One life of the source's half, driven as its adapter drives it."""

from concurrent import futures
import contextlib

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib
from nova_throttle import exception
from nova_throttle.tests.sim import bus as bus_lib
from nova_throttle.tests.sim import sender

GATE = 'source'

# Of the first stage and the second, on this host.
FIRST, SECOND = 'in progress', 'transfer'

# The gates of other hosts, and the host that keeps the one of all.
ELSEWHERE = ('destination', 'rack', 'transfer-in')
RACK = 'h0'

# How long it is remembered that a host has not got the product.
OPEN_FOR = 300.0


def make_request(migration, scenario):
    """Return what a source knows of a migration."""
    destination = migration.destination
    first = [request_lib.RemoteGate('destination', destination)]
    if scenario.rack:
        first.append(request_lib.RemoteGate('rack', RACK))
    needs = [request_lib.Needs((GATE,), tuple(first))]
    if scenario.link:
        link = request_lib.RemoteGate('transfer-in', destination)
        needs.append(request_lib.Needs(('transfer-out',), (link,)))
    return request_lib.Request(
        migration.uuid,
        f'instance of {migration.uuid}',
        destination,
        tuple(needs),
        migration.priority,
        migration.arrival,
        migration.held,
    )


class Source:
    """The controller of what leaves a host, from its start to its death."""

    def __init__(self, host, incarnation):
        self.host = host
        self._world = host.world
        scenario = host.world.scenario
        self._asks = sender.Sender(self, self._send)
        clock = host.world.loop.clock
        self.throttle = outgoing.OutgoingController(
            {
                FIRST: {GATE: host.outgoing_limit},
                SECOND: {'transfer-out': scenario.link},
            },
            self._start,
            source=source_lib.Source(
                host.name, incarnation, ELSEWHERE, clock=clock
            ),
            tell=self._asks.post,
            clock=clock,
        )
        self.throttle.halt(standstill.Standstill.STARTING)

    @property
    def is_alive(self):
        """Whether the service is still in this life."""
        return self.host.source is self

    def recover(self):
        """Go on with what the journal has."""
        journal = list(self.host.journal)
        for migration in journal:
            if migration.status == 'active':
                stages = 2 if migration.on_wire else 1
                self.throttle.adopt(self._request(migration), stages)
                self._settle(migration)
            else:
                self.throttle.submit(self._request(migration))
        self.throttle.resume(standstill.Standstill.STARTING)

    def submit(self, migration):
        """Accept a migration."""
        self.host.journal[migration] = None
        self.throttle.submit(self._request(migration))

    def cancel(self, migration):
        """Take a migration out of the queue, or abort it."""
        if self.throttle.cancel(migration.uuid):
            if migration.status == 'active':
                # It waited for the second stage.
                self._world.end(migration, migration.attempt)
            else:
                self._world.close(migration, 'cancelled')
        elif migration.moving:
            self._world.end(migration, migration.attempt)

    def change(self, migration, **values):
        """Give a migration another priority, or hold it, or release it."""
        with contextlib.suppress(exception.NotQueued):
            self.throttle.change(migration.uuid, **values)

    def finish(self, migration):
        """Note that a migration has ended."""
        self._world.close(migration, 'done')
        self.throttle.finish(migration.uuid)

    def check(self):
        """Look for what was lost."""
        for name in self.throttle.unheard(self._world.scenario.interval):
            if self._world.hosts[name].is_down:
                self.throttle.open(name, 0)
            else:
                self._asks.post(name)

    def _request(self, migration):
        return make_request(migration, self._world.scenario)

    def _start(self, grant):
        migration = self._world.migrations[grant.request.migration_uuid]
        if grant.stage == SECOND:
            self._world.transfer(self.host, migration)
        else:
            self._world.begin(self.host, migration)

    def advance(self, migration):
        """Have one that is prepared go on the wire, in its turn."""
        self.throttle.advance(migration.uuid, futures.Future())

    def _settle(self, migration):
        """Decide about one that was interrupted."""
        random = self._world.random
        waits = self._world.scenario.link and not migration.on_wire
        if waits or not migration.moving or random.random() < 0.5:
            delay = random.uniform(0.1, 5)
            self._world.loop.after(
                delay, self._roll_back, migration, migration.attempt
            )

    def _roll_back(self, migration, attempt):
        if not self.is_alive or migration.attempt != attempt:
            return
        if migration.status != 'active':
            return
        self._world.stop(migration)
        if self._world.random.random() < 0.5:
            self.finish(migration)
        else:
            migration.status = 'queued'
            self.throttle.resubmit(self._request(migration))

    def _send(self, name, done):
        ask = self.throttle.compose(name)
        if ask is not None and ask.wants_answer:
            self._call(name, ask, done)
            return
        if ask is not None:
            self._world.bus.cast(self._world.hosts[name], 'gone', ask)
        done(True)

    def _call(self, name, ask, done):
        def end(outcome, tell):
            if outcome == bus_lib.ANSWERED:
                self.throttle.receive(tell)
            elif outcome == bus_lib.REFUSED:
                self.throttle.open(name, OPEN_FOR)
            else:
                self.throttle.failed(name)
            done(outcome != bus_lib.FAILED)

        target = self._world.hosts[name]
        self._world.bus.call(self.host, target, 'ask', ask, end)
