# SPDX-License-Identifier: Apache-2.0

"""One life of the destination's half, driven as its adapter drives it."""

from nova_throttle.admission import standstill
from nova_throttle.agreement import counting
from nova_throttle.agreement import destination as destination_lib
from nova_throttle.agreement import messages
from nova_throttle.tests.sim import bus as bus_lib
from nova_throttle.tests.sim import sender

# How long the database takes to be read, and after which a host looks again
# as long as it counts.
READ = 0.05
SOON = 5.0


class _Watched(destination_lib.Destination):
    """Lets the referee see each offer in the instant in which it is made."""

    on_offer = staticmethod(bool)

    def _give(self, ledger):
        before = {c.uuid for c in ledger.claims() if c.offered}
        super()._give(ledger)
        for claim in ledger.claims():
            is_first = claim.item.gate == messages.DESTINATION
            if is_first and claim.offered and claim.uuid not in before:
                self.on_offer(claim.uuid)


class Destination:
    """Incoming of a host, from its start to its death."""

    def __init__(self, host, incarnation):
        self.host = host
        self._world = host.world
        self._due = set()
        self._reports = sender.Sender(self, self._report)
        scenario = host.world.scenario
        self._counting = counting.Counting(
            scenario.timeout, host.world.loop.clock
        )
        self.incoming = _Watched(
            host.name,
            incarnation,
            {
                messages.DESTINATION: host.incoming_limit,
                'rack': scenario.rack,
                'transfer-in': scenario.link,
            },
            self._post,
        )
        self.incoming.on_offer = self._on_offer

    @property
    def is_alive(self):
        """Whether the service is still in this life."""
        return self.host.destination is self

    def recover(self):
        """Learn who comes, from the records and from the sources."""
        self._compare([], self._world.facts(self.host))

    def check(self):
        """Compare what is known with the records."""
        known = list(self.incoming.migrations())
        facts = self._world.facts(self.host)
        self._world.loop.after(READ, self._compare, known, facts)

    def serve(self, kind, value):
        """Answer a message of a source."""
        self.incoming.hear(value)
        return self.incoming.compose(value.source)

    def _compare(self, known, facts):
        if not self.is_alive:
            return
        self._world.touch(self.host)
        down = [h.name for h in self._world.hosts.values() if h.is_down]
        doubtful = self.incoming.reconcile(facts, down)
        recorded = {fact.migration_uuid for fact in facts}
        for uuid in known:
            if uuid not in recorded:
                self.incoming.free(uuid)
        if self.incoming.counts:
            doubtful = self._count({f.source for f in facts}.difference(down))
        for name in doubtful:
            self._reports.post(name)

    def _count(self, sources):
        missing = self._counting.missing(sources)
        if missing:
            self._world.loop.after(SOON, self._look_again)
        else:
            self._open()
        return missing

    def _look_again(self):
        if self.is_alive and self.incoming.counts:
            self._compare([], self._world.facts(self.host))

    def _open(self):
        self._world.loop.note('opens', self.host.name)
        self.incoming.resume(standstill.Standstill.COUNTING)

    def _report(self, name, done):
        def end(outcome, ask):
            if outcome == bus_lib.ANSWERED:
                self.incoming.hear(ask, reported=True)
            if outcome != bus_lib.FAILED and self._counting.hear(name):
                self._open()
            done(outcome != bus_lib.FAILED)

        self._world.bus.call(
            self.host,
            self._world.hosts[name],
            'report',
            (self.host.name, self.incoming.incarnation),
            end,
        )

    def _on_offer(self, uuid):
        self._world.referee.offered(self, self._world.migrations[uuid])

    def _post(self, name):
        if name not in self._due:
            self._due.add(name)
            self._world.loop.after(0, self._send, name)

    def _send(self, name):
        self._due.discard(name)
        if self.is_alive:
            target = self._world.hosts[name]
            tell = self.incoming.compose(name)
            kind = 'offer' if tell.offers else 'news'
            self._world.bus.cast(target, kind, tell)
