# SPDX-License-Identifier: Apache-2.0

"""A host, its link and its guests, in any order of events.

The controller and the link are the product's; what libvirt does is simulated,
with the lease that is kept beside it.
"""

from concurrent import futures

from hypothesis import stateful
from hypothesis import strategies as st

from nova_throttle.admission import controller
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import stages
from nova_throttle.admission import standstill
from nova_throttle.tests.unit.admission import base
from nova_throttle.transfer import link as link_lib
from nova_throttle.transfer import progress

FIRST, LAST, DECK = 'in progress', 'transfer', stages.DECK
STARTING = standstill.Standstill.STARTING
Place = link_lib.Place


RARELY = st.integers(0, 19).map(lambda number: number == 19)


class Guest:
    """What libvirt has of one migration."""

    def __init__(self, slow_until):
        self.slow_until = slow_until
        self.progress = progress.Progress()

    def is_slow(self, now):
        """Whether it trickles: so long as its lease lasts."""
        return self.slow_until is not None and now < self.slow_until


class LinkMachine(stateful.RuleBasedStateMachine):
    """One host with one link, of up to three."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.alive = True
        self.link = link_lib.Link()
        self.count = 0
        self.tickets = {}
        self.guests = {}
        self.served = set()
        self.over = set()
        # The greatest limit under which one of the owners came.
        self.most = 1
        self.throttle = controller.Controller(
            {FIRST: {'source': 4}, LAST: {'link': 1}, DECK: {'deck': 1}},
            self.start,
        )

    def start(self, grant):
        name = grant.request.migration_uuid
        if grant.stage == FIRST:
            self.tickets[name] = None
        elif name in self.guests:
            self.do(self.link.promote(name))
        else:
            early = grant.stage == DECK
            self.link.begin(name, early, self.now)
            until = self.now + link_lib.LEASE if early else None
            self.guests[name] = Guest(until)
            self.served.add(name)

    def do(self, effects):
        for effect in effects:
            if isinstance(effect, link_lib.Full):
                self.guests[effect.migration_uuid].slow_until = None
            elif isinstance(effect, link_lib.Slow):
                guest = self.guests[effect.migration_uuid]
                guest.slow_until = effect.until
            elif isinstance(effect, link_lib.NoteEnd):
                self.throttle.note_end(effect.migration_uuid)
            elif isinstance(effect, link_lib.LeaveDeck):
                self.throttle.release(effect.migration_uuid, DECK)
            elif isinstance(effect, link_lib.StepAside):
                self.throttle.step_aside(effect.migration_uuid)
            else:
                self.throttle.resize('link', effect.limit)

    def pick(self, data, names):
        return data.draw(st.sampled_from(sorted(names)))

    @stateful.precondition(lambda self: self.alive and self.count < 12)
    @stateful.rule(priority=st.integers(0, 1))
    def submit(self, priority):
        self.count += 1
        name = f'm{self.count:02}'
        needs = tuple(
            request_lib.Needs((gate,)) for gate in ('source', 'link', 'deck')
        )
        self.throttle.submit(
            request_lib.Request(name, f'i-{name}', 'there', needs, priority)
        )

    def prepared(self):
        return {
            name
            for name, ticket in self.tickets.items()
            if ticket is None and name not in self.over
        }

    @stateful.precondition(lambda self: self.alive and self.prepared())
    @stateful.rule(data=st.data(), early=st.booleans())
    def advance(self, data, early):
        name = self.pick(data, self.prepared())
        self.tickets[name] = futures.Future()
        self.throttle.advance(name, self.tickets[name], early)

    def waiting(self):
        return {
            name
            for name, ticket in self.tickets.items()
            if ticket is not None
            and name not in self.guests
            and name not in self.over
        }

    @stateful.precondition(lambda self: self.alive and self.waiting())
    @stateful.rule(data=st.data())
    def abort(self, data):
        name = self.pick(data, self.waiting())
        assert self.tickets[name].cancel()
        self.throttle.finish(name)
        self.over.add(name)

    @stateful.precondition(lambda self: self.alive and self.guests)
    @stateful.rule(
        data=st.data(),
        iteration=st.integers(0, 5),
        stalled=st.integers(0, 20),
        eta=st.none() | st.floats(0, 100),
        post_copy=RARELY,
        auto_converge=RARELY,
        block=RARELY,
    )
    def observe(self, data, iteration, stalled, eta, **what):
        name = self.pick(data, self.guests)
        before = self.guests[name].progress
        what = {k: v or getattr(before, k) for k, v in what.items()}
        self.guests[name].progress = seen = progress.Progress(
            done=before.done + 10**6,
            iteration=max(before.iteration, iteration),
            stalled=stalled,
            eta=eta,
            **what,
        )
        self.do(self.link.observe(name, seen, self.now))

    @stateful.precondition(lambda self: self.alive and self.guests)
    @stateful.rule(data=st.data())
    def end(self, data):
        self.end_of(self.pick(data, self.guests))

    def end_of(self, name):
        del self.guests[name]
        self.over.add(name)
        # As the product does: or it might have another turn.
        self.throttle.leave(name)
        self.do(self.link.end(name))
        self.throttle.finish(name)

    @stateful.precondition(lambda self: self.alive)
    @stateful.rule(number=st.integers(1, 3))
    def find_out(self, number):
        """A measurement has shown how many the link takes."""
        self.link.number.value = number
        self.do(self.link._resized())

    @stateful.rule(seconds=st.floats(0, link_lib.TICK))
    def wait(self, seconds):
        self.now += seconds
        if self.alive:
            waits = bool(self.throttle.waiting())
            still = self.throttle.stands_still
            self.do(self.link.tick(self.now, waits, still))

    @stateful.precondition(lambda self: self.alive)
    @stateful.rule(pause=st.booleans())
    def stand_still(self, pause):
        change = self.throttle.halt if pause else self.throttle.resume
        change(STARTING)

    @stateful.precondition(lambda self: self.guests)
    @stateful.rule(kill=RARELY)
    def kill(self, kill):
        """Nobody decides anything any more."""
        self.alive = self.alive and not kill

    @stateful.invariant()
    def only_owners_are_fast(self):
        if not self.alive:
            return
        owners = set(self.throttle.gate('link').owners)
        self.most = max(self.link.limit, min(self.most, len(owners)))
        assert len(owners) <= self.most
        for name, guest in self.guests.items():
            place = self.link.place(name)
            assert (place is Place.TURN) == (name in owners)
            assert guest.is_slow(self.now) == (place in link_lib.SLOW)

    @stateful.invariant()
    def one_is_on_deck_and_in_its_first_pass(self):
        if not self.alive:
            return
        early = [
            guest
            for name, guest in self.guests.items()
            if self.link.place(name) is Place.DECK
        ]
        assert len(early) <= 1
        assert all(guest.progress.iteration <= 1 for guest in early)

    @stateful.invariant()
    def whose_guest_would_suffer_is_fast(self):
        for guest in self.guests.values():
            seen = guest.progress
            may_not = seen.post_copy or (
                seen.iteration > 1 and (seen.auto_converge or seen.block)
            )
            assert not (may_not and guest.is_slow(self.now))

    def teardown(self):
        if not self.alive:
            self.now += link_lib.LEASE
            assert not any(g.is_slow(self.now) for g in self.guests.values())
            return
        self.throttle.resume(STARTING)
        for name in sorted(self.prepared()):
            self.tickets[name] = futures.Future()
            self.throttle.advance(name, self.tickets[name], True)
        while self.guests:
            self.end_of(min(self.guests))
            for name in sorted(self.prepared()):
                self.tickets[name] = futures.Future()
                self.throttle.advance(name, self.tickets[name], True)
        # Nobody starves.
        assert self.over == {f'm{n + 1:02}' for n in range(self.count)}
        assert not self.throttle.gate('link').owners


LinkMachine.TestCase.settings = base.settings(
    60, stateful_step_count=60, print_blob=True
)
LinkTestCase = LinkMachine.TestCase
