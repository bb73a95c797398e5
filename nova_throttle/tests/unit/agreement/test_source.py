# SPDX-License-Identifier: Apache-2.0

"""The source's half: what it asks for, and what it makes of offers."""

import dataclasses

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.agreement import messages
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib
from nova_throttle.tests.unit.admission import base

Standstill = standstill.Standstill

READY = messages.Standing.READY
WAITS = messages.Standing.WAITS
INSISTS = messages.Standing.INSISTS
HOLDS = messages.Standing.HOLDS
GONE = messages.Standing.GONE


def make_request(name, destination='d', gates=('source',)):
    gate = request_lib.RemoteGate('destination', destination)
    needs = request_lib.Needs(gates, (gate,))
    return request_lib.Request(name, f'i-{name}', destination, (needs,))


class SourceTestCase(base.CoreTestCase):
    """One source with one slot; the test says what destinations tell."""

    def setUp(self):
        super().setUp()
        self.posted = []
        self.now = 0.0
        self.out = outgoing.OutgoingController(
            {base.STAGE: {'source': 1}},
            self._start,
            source=source_lib.Source('s', 5, clock=lambda: self.now),
            tell=self.posted.append,
            patience=1,
            clock=lambda: self.now,
        )
        self.throttle = self.out

    def migrate(self, name, destination='d'):
        request = make_request(name, destination)
        self.throttle.submit(request)
        return request

    def said(self, destination='d', **options):
        """Return how the next message says that requests stand."""
        ask = self.out.compose(destination, **options)
        if ask is None:
            return {}
        self.serial = ask.serial
        return {item.migration_uuid: item.standing for item in ask.items}

    def tell(self, *names, number=None, destination='d', life=7, **others):
        """Offer slots."""
        number = self.serial if number is None else number
        offers = tuple(
            messages.Offer(name, 'destination', number) for name in names
        )
        fields = {'serial': 1, 'answers': 5, **others}
        tell = messages.Tell(destination, life, offers=offers, **fields)
        self.out.receive(tell)
        return tell

    def busy(self):
        """Have the one slot taken, by a request for a free host."""
        self.migrate('busy', 'free')
        self.said('free')
        self.tell('busy', destination='free')

    def insisting(self):
        """Have a request to d that insists, while the slot is taken."""
        self.migrate('m1')
        self.said()
        self.busy()
        self.assertEqual({'m1': INSISTS}, self.said())

    def test_starts_on_an_offer_only(self):
        self.migrate('m1')
        self.assertEqual(['d'], self.posted)
        self.assertEqual({'m1': READY}, self.said())
        self.assertEqual([], self.started)
        self.tell('m1')
        self.assertEqual(['m1'], self.started)
        self.assertEqual({}, self.said())

    def test_end_is_told(self):
        self.migrate('m1')
        self.said()
        self.tell('m1')
        self.throttle.finish('m1')
        self.assertEqual({'m1': GONE}, self.said())

    def test_doubled_offer_starts_once(self):
        self.migrate('m1')
        self.said()
        self.tell('m1')
        self.tell('m1')
        self.throttle.finish('m1')
        self.tell('m1', serial=2)
        self.assertEqual(['m1'], self.started)

    def test_declines_without_room(self):
        self.migrate('m1')
        self.said()
        self.throttle.adopt(base.make_request('other', 'source'))
        self.tell('m1')
        self.assertEqual([], self.started)
        self.assertEqual({'m1': WAITS}, self.said())

    def test_late_offer_after_a_decline(self):
        self.test_declines_without_room()
        self.throttle.finish('other')
        self.assertEqual({'m1': READY}, self.said())
        self.tell('m1', number=1, serial=2)
        self.assertEqual([], self.started)

    def test_offer_for_an_unknown_request_is_declined(self):
        self.migrate('m1')
        self.said()
        self.tell('ghost')
        self.assertEqual({'ghost': GONE}, self.said())

    def test_cancelled_while_offered(self):
        request = self.migrate('m1')
        self.said()
        self.assertTrue(request.ticket.cancel())
        self.tell('m1')
        self.assertEqual([], self.started)
        self.assertEqual({'m1': GONE}, self.said())

    def test_cancelled_before_it_is_told_costs_nothing(self):
        self.migrate('m1').ticket.cancel()
        self.assertIsNone(self.out.compose('d'))

    def test_offer_to_an_earlier_life_is_void(self):
        self.migrate('m1')
        self.said()
        self.tell('m1', answers=4)
        self.assertEqual([], self.started)
        self.assertEqual({'m1': READY}, self.said())

    def test_offer_of_an_earlier_life_is_void(self):
        self.migrate('m1')
        self.said()
        self.tell(life=7)
        self.tell(life=8)
        self.tell('m1', life=7, serial=2)
        self.assertEqual([], self.started)
        self.assertEqual({'m1': READY}, self.said())

    def test_clock_of_this_host_was_set_back(self):
        self.migrate('m1')
        self.said()
        self.tell(answers=9)
        ask = self.out.compose('d')
        self.assertEqual((10, True), (ask.incarnation, ask.complete))

    def test_kept_slot_is_used_when_there_is_room(self):
        self.insisting()
        self.tell('m1')
        self.assertEqual(['busy'], self.started)
        self.throttle.finish('busy')
        self.assertEqual(['busy', 'm1'], self.started)

    def test_kept_slot_dies_with_its_destination(self):
        self.insisting()
        self.tell('m1')
        self.out.report('d', 8)
        self.throttle.finish('busy')
        self.assertEqual(['busy'], self.started)

    def test_kept_slot_dies_with_the_number_of_this_life(self):
        self.insisting()
        self.tell('m1')
        self.tell(destination='other', answers=9)
        self.throttle.finish('busy')
        self.assertEqual(['busy'], self.started)

    def test_kept_slot_is_given_back_at_the_close(self):
        self.insisting()
        self.tell('m1')
        self.throttle.halt(Standstill.STOPPING)
        self.assertEqual({'m1': WAITS}, self.said())

    def test_kept_slot_is_declined_while_held(self):
        self.insisting()
        self.throttle.halt(Standstill.PAUSED)
        self.tell('m1')
        self.assertEqual({'m1': WAITS}, self.said())

    def test_insists_again_after_close_and_proceed(self):
        self.insisting()
        self.throttle.halt(Standstill.STOPPING)
        self.throttle.resume(Standstill.STOPPING)
        self.throttle.finish('busy')
        self.migrate('busy2', 'free')
        self.said('free')
        self.tell('busy2', destination='free', serial=2)
        self.assertEqual({'m1': INSISTS}, self.said())

    def test_offer_that_ends_between_look_and_start(self):
        """Two threads have the same offer; one declines it meanwhile."""
        self.migrate('m1')
        self.said()
        self.throttle.adopt(base.make_request('other', 'source'))
        tell = self.tell()
        offer = messages.Offer('m1', 'destination', self.serial)
        first = dataclasses.replace(tell, offers=(offer,))
        source = self.throttle._source
        accept = source.accept
        said = {}

        def interrupted(*args):
            source.accept = accept
            # Another thread comes first; then there is room again.
            self.throttle._lock.release()
            self.out.receive(first)
            said.update(self.said())
            self.throttle.finish('other')
            self.throttle._lock.acquire()
            return accept(*args)

        source.accept = interrupted
        self.out.receive(first)
        self.assertEqual({'m1': WAITS}, said)
        self.assertEqual([], self.started)
        self.assertEqual({'m1': READY}, self.said())

    def test_failed_message_is_said_again_in_full(self):
        self.migrate('m1')
        self.said()
        self.out.failed('d')
        self.now = 60
        self.assertEqual(['d'], self.out.unheard(60))
        self.assertEqual({'m1': READY}, self.said())

    def test_host_without_the_product_keeps_no_gate(self):
        self.migrate('m1')
        self.migrate('m2')
        self.said()
        del self.posted[:]
        self.out.open('d', 300)
        self.assertEqual(['m1'], self.started)
        self.throttle.finish('m1')
        self.migrate('m3')
        self.assertEqual(['m1', 'm2'], self.started)
        self.assertEqual([], self.posted)

    def test_host_without_the_product_is_asked_again_later(self):
        self.out.open('d', 300)
        self.now = 301
        self.migrate('m1')
        self.assertEqual([], self.started)
        self.assertEqual({'m1': READY}, self.said())

    def test_destination_that_is_back_is_asked_again(self):
        """What was let go while it was dead, and has not gone, waits."""
        self.migrate('m1')
        self.migrate('m2')
        self.said()
        self.out.open('d', 0)
        ask = self.out.report('d', 8)
        said = {item.migration_uuid: item.standing for item in ask.items}
        self.assertEqual({'m1': HOLDS, 'm2': WAITS}, said)
        self.throttle.finish('m1')
        self.assertEqual(['m1'], self.started)

    def test_report_voids_an_offer_on_its_way(self):
        self.migrate('m1')
        self.said()
        self.out.report('d', 8)
        self.tell('m1')
        self.assertEqual([], self.started)

    def test_a_request_without_gates_of_this_host(self):
        """It raised ValueError."""
        self.throttle.submit(make_request('m1', gates=()))
        self.assertEqual({'m1': READY}, self.said())
        self.tell('m1')
        self.assertEqual(['m1'], self.started)

    def test_busy_destination_is_passed_over(self):
        self.migrate('m1', 'full')
        self.migrate('m2')
        self.said('full')
        self.assertEqual({'m2': READY}, self.said())
        self.tell('m2')
        self.assertEqual(['m2'], self.started)

    def test_message_says_its_arrival_and_priority(self):
        request = self.migrate('m1')
        other = dataclasses.replace(
            request, migration_uuid='m2', priority=3, arrival=4
        )
        self.throttle.submit(other)
        items = self.out.compose('d').items
        self.assertEqual([(0, 0), (3, 4)], [_place(i) for i in items])

    def test_another_priority_is_told(self):
        self.busy()
        self.migrate('m1')
        self.assertEqual({'m1': WAITS}, self.said())
        self.throttle.change('m1', priority=-1)
        (item,) = self.out.compose('d').items
        self.assertEqual((WAITS, -1), (item.standing, item.priority))

    def test_an_offer_to_what_it_was_before_is_void(self):
        self.migrate('m1')
        self.said()
        before = self.serial
        self.throttle.change('m1', priority=1)
        self.assertEqual({'m1': READY}, self.said())
        self.tell('m1', number=before)
        self.assertEqual([], self.started)
        self.tell('m1', serial=2)
        self.assertEqual(['m1'], self.started)

    def test_one_that_is_held_asks_for_nothing(self):
        self.migrate('m1')
        self.said()
        self.throttle.change('m1', held=True)
        self.assertEqual({'m1': WAITS}, self.said())
        self.tell('m1')
        self.assertEqual([], self.started)
        self.throttle.change('m1', held=False)
        self.assertEqual({'m1': READY}, self.said())

    def test_a_promoted_one_asks_before_those_that_ask(self):
        self.migrate('m1')
        self.migrate('m2')
        self.assertEqual({'m1': READY, 'm2': WAITS}, self.said())
        self.throttle.change('m2', priority=-1)
        self.assertEqual({'m2': READY}, self.said())


def _place(item):
    return item.priority, item.arrival
