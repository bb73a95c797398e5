# SPDX-License-Identifier: Apache-2.0

"""The rules, judged by the truth of the world after every step.

A host is looked at when anything has happened to it: nothing else can have
changed what it says or what is true of it.
"""

import collections

from nova_throttle.agreement import messages
from nova_throttle.tests.sim import loop
from nova_throttle.tests.sim import source as source_lib

GATE = messages.DESTINATION

_KEPT = (messages.Standing.INSISTS, messages.Standing.KEEPS)


class Referee:
    """Looks at each step; a broken rule is a Violation."""

    def __init__(self, world):
        self._world = world
        self.touched = {}
        self.checks = collections.Counter()
        # Seconds from the offer of a slot to the start on it.
        self.delays = []
        # The same for slots that were kept for one that insisted.
        self.kept = []
        self.starts = collections.Counter()
        self.offers = 0
        self.broken = ''

    def watch(self):
        """Look at each host that something has happened to.

        :raises Violation: if any rule has been broken.
        """
        touched, self.touched = self.touched, {}
        for host in touched:
            if host.source is not None:
                self._check_source(host)
                self._check_destination(host)
        self._judge()

    def begins(self, host, migration):
        """A migration is about to start: R1, R7 and R9."""
        self._expect('R7', migration.status == 'queued', migration)
        self.starts[migration.basis] += 1
        if host.source is None:
            return
        still = host.source.throttle._admission.standstill
        self._expect('R9', not still, migration)
        self._expect('held', not migration.held, migration)
        leaving = self._world.leaving[host.name].values()
        leaving = [m for m in leaving if m.basis != 'plain']
        self._limit(host.outgoing_limit, len(leaving) + 1, migration)
        if migration.basis == 'offer':
            self._begins_there(migration)
        if self._world.scenario.rack:
            self._begins_in_rack(host, migration)

    def _begins_in_rack(self, host, migration):
        is_open = host.source.throttle.is_open(source_lib.RACK)
        migration.racked = not is_open
        racked = [m for m in self._world.unsettled if m.moving and m.racked]
        owners = len(racked) + migration.racked
        self._limit(self._world.scenario.rack, owners, migration)

    def transfers(self, host, migration):
        """A migration is about to go on the wire: R1 and R2."""
        limit = self._world.scenario.link
        leaving = self._world.leaving[host.name].values()
        coming = self._world.coming_to[migration.destination].values()
        for some in leaving, coming:
            on_wire = sum(m.on_wire and m.basis == 'offer' for m in some)
            self._limit(limit, on_wire + 1, migration)
        self._expect('R2 stage', migration.moving, migration)

    def began(self, host, migration):
        """A migration has started: what it cost, and who was passed."""
        if migration.basis == 'offer':
            delay = self._world.loop.now - migration.offered_at
            kept = migration.kept
            (self.kept if kept else self.delays).append(delay)
            prompt = delay <= self._world.scenario.latency + 1e-6
            stormy = self._world.scenario.is_stormy
            paused = self._world.scenario.pauses
            # It may wait for the answer of another gate.
            paused = paused or self._world.scenario.rack
            self._expect('R5', kept or stormy or paused or prompt, delay)
        for other in host.journal:
            if other.status == 'queued' and other.order < migration.order:
                other.overtaken += 1

    def offered(self, destination, migration):
        """A destination gives a slot: R1 and R6."""
        host, incoming = destination.host, destination.incoming
        claims = _claims(incoming)
        migration.kept = False
        migration.offered_at = self._world.loop.now
        migration.allowed = host.incoming_limit
        self.offers += 1
        self._world.loop.note('offer', migration.uuid, host.name)
        coming = self._world.coming_to[host.name].values()
        taken = {m.uuid for m in coming if m.arrived or m.basis == 'offer'}
        taken.update(u for u, g in claims.items() if g.offered)
        self._limit(host.incoming_limit, len(taken), migration)
        first = min(
            (g.order for g in claims.values() if _is_in_line(g)),
            default=None,
        )
        # As its source has told it.
        order = claims[migration.uuid].order
        in_order = first is None or order <= first
        self._expect('R6', in_order, (migration, first))

    def served(self):
        """Everything that was asked is over: nobody starves."""
        self._expect('served', self._world.is_done, self._world.unsettled)
        self._judge()

    def settled(self):
        """Nothing is left anywhere: R3."""
        for host in self._world.hosts.values():
            if host.source is None:
                continue
            throttle = host.source.throttle
            owners = {
                name: gate.owners
                for name, gate in throttle.snapshot().gates.items()
                if gate.owners
            }
            self._expect('R3', not owners, (host.name, owners))
            self._expect('R3', not throttle.waiting(), host.name)
            left = host.destination.incoming.migrations()
            self._expect('R3', not left, (host.name, left))
        self._judge()

    def _judge(self):
        if self.broken:
            raise loop.Violation(self.broken)

    def _begins_there(self, migration):
        """One that starts on an offer has a slot there, in truth."""
        host = self._world.hosts[migration.destination]
        coming = self._world.coming_to[host.name].values()
        coming = [m for m in coming if m.basis == 'offer']
        limits = (host.incoming_limit, migration.allowed)
        limit = max(limits) if all(limits) else 0
        self._limit(limit, len(coming) + 1, migration)
        destination = host.destination
        if destination is not None and not destination.incoming.counts:
            guest = _claims(destination.incoming).get(migration.uuid)
            owns = guest is not None and guest.owns
            migration.kept = owns and guest.item.standing in _KEPT
            self._expect('R1 slot', owns, (migration, guest))

    def _check_source(self, host):
        """The source gate is as full as it is in truth: R1 to R3."""
        owners = set(host.source.throttle.gate('source').owners)
        for migration in self._world.leaving[host.name].values():
            owns = migration.uuid in owners or migration.basis == 'plain'
            self._expect('R3 source', owns, migration)
        for uuid in owners:
            status = self._world.migrations[uuid].status
            self._expect('R2 source', status == 'active', uuid)

    def _check_destination(self, host):
        """What is in progress here owns a slot here: R1 to R3 and R5."""
        incoming = host.destination.incoming
        if incoming.counts:
            return
        claims = _claims(incoming)
        for migration in self._world.coming_to[host.name].values():
            if migration.arrived:
                guest = claims.get(migration.uuid)
                owns = guest and guest.owns and not guest.offered
                self._expect('R3 destination', owns, (migration, guest))
        gate = incoming.state(GATE)
        if not self._world.scenario.is_stormy:
            for uuid in gate.owners:
                claim = claims[uuid]
                queued = self._world.migrations[uuid].status == 'queued'
                kept = claim.item.standing is messages.Standing.KEEPS
                self._expect('R2 destination', kept or not queued, claim)
        if not incoming._standstill and not _is_full(gate):
            idle = [g for g in claims.values() if _is_in_line(g)]
            self._expect('R5 idle slot', not idle, idle)

    def _limit(self, limit, owners, migration):
        within = not limit or owners <= limit
        self._expect('R1 limit', within, (limit, owners, migration))

    def _expect(self, rule, holds, about):
        self.checks[rule] += 1
        if not holds and not self.broken:
            # Raised later: the core catches what a start raises.
            self.broken = f'{rule} does not hold: {about}'
            self._world.loop.note('BROKEN', self.broken)


def _claims(incoming):
    claims = incoming._ledgers[GATE].claims()
    return {claim.uuid: claim for claim in claims}


def _is_in_line(claim):
    return claim.item.standing in messages.ASKING and not claim.owns


def _is_full(gate):
    return 0 < gate.limit <= len(gate.owners) + len(gate.offered)
