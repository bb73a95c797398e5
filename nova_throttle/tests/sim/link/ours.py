# SPDX-License-Identifier: Apache-2.0

"""Our rule: the production code of a fleet, each host with both halves."""

from concurrent import futures
import math

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import stages
from nova_throttle.admission import standstill
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source
from nova_throttle.transfer import link as link_lib
from nova_throttle.transfer import progress

IN_PROGRESS, TRANSFER, DECK = 'in progress', 'transfer', stages.DECK
OUT = 'transfer-out'

# Seconds that a message takes.
LATENCY = 0.005


class Fleet:
    """Hosts that have nova-throttle.

    :param limit: on what is in progress, each way.
    :param transfers: on what has the link, each way; None is auto.
    :param finish: seconds of the clean-up after the last byte.
    :param poll: seconds between two observations of a transfer.
    :param early: whether one may be on deck.
    """

    def __init__(
        self,
        net,
        hosts,
        finish,
        *,
        limit=4,
        transfers=None,
        poll=0.5,
        early=True,
    ):
        self.net = net
        self.loop = net.loop
        self.finish = finish
        self.poll = poll
        self.early = early
        self.auto = transfers is None
        self.ended = {}
        self.hosts = [
            Host(self, number, limit, transfers or 1)
            for number in range(hosts)
        ]


class Host:
    """One host."""

    def __init__(self, fleet, number, limit, transfers):
        self.fleet = fleet
        self.loop = fleet.loop
        self.name = str(number)
        self.link = link_lib.Link()
        self.destination = destination.Destination(
            self.name,
            1,
            {
                messages.DESTINATION: limit,
                messages.TRANSFER_IN: transfers,
                messages.DECK_IN: 1,
            },
            self._tell,
        )
        self.destination.resume(standstill.Standstill.COUNTING)
        self.destination.follow_sources(fleet.auto)
        self.throttle = outgoing.OutgoingController(
            {
                IN_PROGRESS: {'source': limit},
                TRANSFER: {OUT: transfers},
                DECK: {'deck-out': 1},
            },
            self._start,
            source=source.Source(
                self.name,
                1,
                self.destination.gates,
                clock=lambda: self.loop.now,
            ),
            tell=self._ask,
            clock=lambda: self.loop.now,
        )
        self.throttle.resize_link(OUT, transfers)
        self._due = set()
        self._ticks = False
        self.flows = {}
        self.guests = {}

    def submit(self, guest, arrival):
        """Have a guest migrate."""
        self.guests[guest.name] = guest
        gates = ('source', OUT, 'deck-out')
        needs = tuple(
            request_lib.Needs(
                (gate,), (request_lib.RemoteGate(remote, str(guest.target)),)
            )
            for gate, remote in zip(gates, self.destination.gates, strict=True)
        )
        self.throttle.submit(
            request_lib.Request(
                guest.name,
                guest.name,
                str(guest.target),
                needs,
                arrival=arrival,
            )
        )

    def _start(self, grant):
        name = grant.request.migration_uuid
        if grant.stage == IN_PROGRESS:
            target = self.fleet.hosts[self.guests[name].target]
            target.destination.begins(name)
            self.throttle.advance(name, futures.Future(), self.fleet.early)
        elif name in self.flows:
            self._do(self.link.promote(name))
        else:
            self._begin(name, early=grant.stage == DECK)

    def _begin(self, name, early):
        self.link.begin(name, early, self.loop.now)
        self.flows[name] = self.fleet.net.add(
            self.guests[name], lambda: self._end(name), slow=early
        )
        self.loop.at(
            self.fleet.poll, self._observe, name, progress.Estimator()
        )
        if not self._ticks:
            self._ticks = True
            self.loop.at(link_lib.TICK, self._tick)

    def _observe(self, name, estimator):
        flow = self.flows.get(name)
        if flow is None:
            return
        now = self.loop.now
        seen = estimator.observe(flow.stats(), now)
        self._do(self.link.observe(name, seen, now))
        self.loop.at(self.fleet.poll, self._observe, name, estimator)

    def _tick(self):
        self._ticks = bool(self.flows)
        if self._ticks:
            waits = len(self.throttle.waiting()) > 0
            self._do(self.link.tick(self.loop.now, waits, still=False))
            self.loop.at(link_lib.TICK, self._tick)

    def _do(self, effects):
        for effect in effects:
            if isinstance(effect, link_lib.Full):
                self._set_slow(effect.migration_uuid, False)
            elif isinstance(effect, link_lib.Slow):
                self._set_slow(effect.migration_uuid, True)
            elif isinstance(effect, link_lib.NoteEnd):
                self.throttle.note_end(effect.migration_uuid)
            elif isinstance(effect, link_lib.StepAside):
                self.throttle.step_aside(effect.migration_uuid)
            elif isinstance(effect, link_lib.LeaveDeck):
                self.throttle.release(effect.migration_uuid, DECK)
            elif self.fleet.auto:
                self.throttle.resize_link(OUT, effect.limit)

    def _set_slow(self, name, slow):
        self.fleet.net.set_slow(self.flows[name], slow)

    def _end(self, name):
        del self.flows[name]
        self._do(self.link.end(name))
        self.throttle.leave(name)
        self.loop.at(self.fleet.finish, self._finish, name)

    def _finish(self, name):
        self.fleet.ended[name] = self.loop.now
        self.throttle.finish(name)

    # Messages

    def _ask(self, host):
        if host not in self._due:
            self._due.add(host)
            self.loop.at(LATENCY, self._send, host)

    def _send(self, host):
        self._due.discard(host)
        ask = self.throttle.compose(host)
        if ask is None:
            return
        peer = self.fleet.hosts[int(host)].destination
        peer.hear(ask)
        if ask.wants_answer:
            self.loop.at(
                LATENCY, self.throttle.receive, peer.compose(self.name)
            )

    def _tell(self, host):
        peer = self.fleet.hosts[int(host)]
        self.loop.at(LATENCY, self._deliver, peer)

    def _deliver(self, peer):
        peer.throttle.receive(self.destination.compose(peer.name))


def simulate(net, hosts, guests, finish, until=math.inf, **options):
    """Return when each guest was done, by its name; those that were."""
    fleet = Fleet(net, hosts, finish, **options)
    for arrival, guest in enumerate(guests):
        fleet.hosts[guest.source].submit(guest, arrival)
    net.loop.run(until)
    return fleet.ended
