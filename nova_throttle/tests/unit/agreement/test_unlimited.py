# SPDX-License-Identifier: Apache-2.0

"""A gate that its host does not limit: nobody asks there, or tells of it."""

from concurrent import futures
import itertools

import testtools

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.agreement import claim as claim_lib
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib
from nova_throttle.tests.unit.admission import base

FIRST, SECOND = 'in progress', 'transfer'
DESTINATION, INTO = messages.DESTINATION, messages.TRANSFER_IN

READY = messages.Standing.READY
HOLDS = messages.Standing.HOLDS
GONE = messages.Standing.GONE


class SourceTestCase(base.CoreTestCase):
    """One source, whose requests pass two stages; the test is ``d``."""

    def setUp(self):
        super().setUp()
        self.serials = itertools.count(1)
        self.heard = 0
        self.now = 0.0
        self.throttle = self.out = outgoing.OutgoingController(
            {FIRST: {'source': 0}, SECOND: {'out': 0}},
            self._start,
            source=source_lib.Source(
                's', 5, (DESTINATION, INTO), clock=lambda: self.now
            ),
            tell=lambda host: None,
            clock=lambda: self.now,
        )

    def _start(self, grant):
        self.started.append((grant.request.migration_uuid, grant.stage))

    def said(self):
        """Return what the next message says, by migration and gate."""
        ask = self.out.compose('d')
        if ask is None:
            return {}
        self.heard = ask.serial
        return {(i.migration_uuid, i.gate): i.standing for i in ask.items}

    def tell(self, *offers, limit=0, life=7):
        self.out.receive(
            messages.Tell(
                'd',
                life,
                next(self.serials),
                5,
                self.heard,
                tuple(messages.Offer(*each, self.heard) for each in offers),
                (messages.Gate(DESTINATION, 2), messages.Gate(INTO, limit)),
            )
        )

    def begin(self, name, limit):
        """Have a request in progress, and say how ``d`` limits transfers."""
        gates = [request_lib.RemoteGate(g, 'd') for g in (DESTINATION, INTO)]
        self.throttle.submit(
            request_lib.Request(
                name,
                f'i-{name}',
                'd',
                (
                    request_lib.Needs(('source',), (gates[0],)),
                    request_lib.Needs(('out',), (gates[1],)),
                ),
            )
        )
        self.said()
        self.tell((name, DESTINATION), limit=limit)

    def advance(self, name):
        ticket = futures.Future()
        self.throttle.advance(name, ticket)
        return ticket

    def test_goes_on_and_nothing_is_said(self):
        self.begin('m1', limit=0)
        self.assertTrue(self.advance('m1').running())
        self.assertEqual({}, self.said())
        self.throttle.release('m1', SECOND)
        self.assertEqual({}, self.said())
        self.throttle.finish('m1')
        self.assertEqual({('m1', DESTINATION): GONE}, self.said())

    def test_a_limited_one_is_asked(self):
        self.begin('m1', limit=1)
        self.assertFalse(self.advance('m1').running())
        self.assertEqual({('m1', INTO): READY}, self.said())
        self.tell(('m1', INTO), limit=1)
        self.assertEqual([('m1', FIRST), ('m1', SECOND)], self.started)
        self.assertEqual({('m1', INTO): HOLDS}, self.said())
        self.throttle.release('m1', SECOND)
        self.assertEqual({('m1', INTO): GONE}, self.said())

    def test_what_went_on_is_told_when_a_limit_comes(self):
        self.begin('m1', limit=0)
        self.advance('m1')
        self.tell(limit=1)
        self.assertEqual(
            {('m1', DESTINATION): HOLDS, ('m1', INTO): HOLDS}, self.said()
        )
        self.begin('m2', limit=1)
        self.assertFalse(self.advance('m2').running())

    def test_what_waits_goes_on_when_the_limit_goes(self):
        self.begin('m1', limit=1)
        ticket = self.advance('m1')
        self.said()
        self.tell(limit=0)
        self.assertTrue(ticket.running())
        # It was heard of there.
        self.assertEqual({('m1', INTO): HOLDS}, self.said())

    def test_a_destination_that_was_restarted_is_asked(self):
        self.begin('m1', limit=0)
        self.out.report('d', 8)
        self.assertFalse(self.advance('m1').running())
        self.assertEqual(READY, self.said()['m1', INTO])

    def test_one_that_kept_no_gate_for_a_while_is_asked(self):
        self.begin('m1', limit=0)
        self.out.open('d', 300)
        self.now = 301
        self.assertFalse(self.advance('m1').running())
        self.assertEqual(READY, self.said()['m1', INTO])

    def test_a_clock_that_was_set_back_changes_nothing(self):
        """Whatever was waived is void, on both sides alike."""
        self.begin('m1', limit=0)
        self.out.receive(messages.Tell('d', 7, next(self.serials), 9))
        self.assertFalse(self.advance('m1').running())
        self.assertEqual(READY, self.said()['m1', INTO])


class DestinationTestCase(testtools.TestCase):
    """One destination with two gates; the test is its sources."""

    def setUp(self):
        super().setUp()
        self.posted = []
        self.gates = destination.Destination(
            'd', 5, {DESTINATION: 0, INTO: 0}, self.posted.append
        )
        self.gates.resume(standstill.Standstill.COUNTING)

    def hear(self, serial, *items):
        self.gates.hear(messages.Ask('s', 1, serial, 0, items))

    def owners(self, gate=INTO):
        return self.gates.state(gate).owners

    def fact(self, name='m1'):
        return claim_lib.Fact(name, f'i-{name}', 's', (DESTINATION, INTO))

    def test_sources_are_told_of_a_limit_that_comes_or_goes(self):
        self.hear(1, messages.Item('m1', 'i-m1', DESTINATION, HOLDS))
        for limit, told in ((2, ['s']), (1, []), (0, ['s'])):
            del self.posted[:]
            self.gates.resize(INTO, limit)
            self.assertEqual(told, self.posted)

    def test_a_source_that_speaks_says_what_is_on_the_wire(self):
        self.hear(1, messages.Item('m1', 'i-m1', DESTINATION, HOLDS))
        self.gates.reconcile([self.fact()])
        self.assertEqual((), self.owners())
        self.assertEqual(('m1',), self.owners(DESTINATION))

    def test_what_the_records_said_is_over_once_it_speaks(self):
        self.gates.reconcile([self.fact()])
        item = messages.Item('m1', 'i-m1', DESTINATION, HOLDS)
        ask = messages.Ask('s', 1, 1, 0, (item,), complete=True)
        self.gates.hear(ask, reported=True)
        self.assertEqual((), self.owners())
        self.assertEqual(('m1',), self.owners(DESTINATION))

    def test_for_one_that_does_not_its_records_say_it(self):
        self.gates.reconcile([self.fact()])
        self.assertEqual(('m1',), self.owners())
        self.gates.landed('i-m1')
        self.assertEqual((), self.owners())
