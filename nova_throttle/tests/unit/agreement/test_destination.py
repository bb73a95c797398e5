# SPDX-License-Identifier: Apache-2.0

"""The destination's half: what it gives, and what it makes of bad news."""

import testtools

from nova_throttle.admission import standstill
from nova_throttle.agreement import claim as claim_lib
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages

GATE = messages.DESTINATION

Standstill = standstill.Standstill

READY = messages.Standing.READY
WAITS = messages.Standing.WAITS
INSISTS = messages.Standing.INSISTS
HOLDS = messages.Standing.HOLDS
GONE = messages.Standing.GONE


class DestinationTestCase(testtools.TestCase):
    """One destination; the test says what its sources say."""

    def setUp(self):
        super().setUp()
        self.posted = []
        self.gate = self.make(1)
        self.gate.resume(Standstill.COUNTING)

    def make(self, limit, incarnation=5):
        return destination.Destination(
            'd', incarnation, {GATE: limit}, self.posted.append
        )

    def hear(self, serial, complete=False, source='s', life=1, **standings):
        """Say how requests stand; the number in a name is its arrival."""
        knows = standings.pop('knows', 0)
        reported = standings.pop('reported', False)
        items = tuple(
            messages.Item(name, f'i-{name}', GATE, standing, 0, int(name[1:]))
            for name, standing in standings.items()
        )
        ask = messages.Ask(source, life, serial, knows, items, complete)
        self.gate.hear(ask, reported=reported)

    def offers(self, source='s'):
        tell = self.gate.compose(source)
        return [(o.migration_uuid, o.number) for o in tell.offers]

    def assert_gate(self, owners=(), offered=(), waiting=()):
        state = self.gate.state(GATE)
        seen = state.owners, state.offered, state.waiting
        self.assertEqual((owners, offered, waiting), seen)

    def fact(self, name, active=True, source='s'):
        gates = (GATE,) if active else ()
        return claim_lib.Fact(name, f'i-{name}', source, gates)

    def test_served_by_arrival_whatever_the_source(self):
        self.hear(1, m9=READY)
        self.hear(1, m3=READY, source='t')
        self.hear(1, m2=READY, source='u')
        self.hear(2, m9=GONE)
        self.assert_gate(offered=('m2',), waiting=('m3',))

    def test_offer_lost_is_made_again(self):
        self.hear(1, m1=READY)
        self.assertEqual([('m1', 1)], self.offers())
        self.hear(2, complete=True, m1=READY)
        self.assertEqual([('m1', 2)], self.offers())

    def test_lost_offer_is_found_by_facts(self):
        self.hear(1, m1=READY)
        queued = [self.fact('m1', active=False)]
        self.assertEqual([], self.gate.reconcile(queued))
        self.assertEqual(['s'], self.gate.reconcile(queued))

    def test_declined_slot_goes_to_the_next(self):
        self.hear(1, m1=READY, m2=READY)
        self.hear(2, m1=WAITS)
        self.assert_gate(offered=('m2',), waiting=('m1',))

    def test_doubled_message_is_no_news(self):
        self.hear(1, m1=READY)
        self.hear(2, m1=WAITS)
        self.hear(1, m1=READY)
        self.assert_gate(waiting=('m1',))

    def test_ghost_of_a_doubled_message_is_declined(self):
        self.hear(1, m1=READY)
        self.hear(2, m1=GONE)
        self.hear(1, m1=READY)
        self.assertEqual([('m1', 1)], self.offers())
        self.hear(3, m1=GONE)
        self.assert_gate()

    def test_cancelled_while_offered(self):
        self.hear(1, m1=READY, m2=READY)
        self.hear(2, m1=GONE)
        self.assertEqual([('m2', 1)], self.offers())

    def test_stale_life_of_a_source_is_not_heard(self):
        self.hear(1, life=2, m1=READY)
        self.hear(9, life=1, m1=GONE)
        self.assert_gate(offered=('m1',))
        self.assertEqual(2, self.gate.compose('s').answers)

    def test_new_life_of_a_source_has_lost_the_offer(self):
        self.hear(1, m1=READY)
        self.hear(1, life=2, complete=True, m1=WAITS)
        self.assert_gate(waiting=('m1',))

    def test_offer_to_a_dead_life_is_not_made_to_the_next(self):
        """Its number may be that of another message of the new life."""
        self.hear(1, m1=READY)
        self.hear(2, life=2, m2=WAITS)
        self.assertEqual([], self.offers())
        self.hear(1, life=2, complete=True, m1=READY)
        self.assertEqual([('m1', 1)], self.offers())

    def test_taken_offer_of_a_dead_life_is_not_given_twice(self):
        """A new life vouches for what the old one started on an offer."""
        self.hear(1, m1=READY)
        self.hear(1, m2=READY, source='t')
        self.hear(1, life=2, complete=True, m1=HOLDS)
        self.assert_gate(owners=('m1',), waiting=('m2',))
        self.assertEqual([], self.offers('t'))

    def test_owner_is_known_before_a_slot_is_given(self):
        """The order of the items is not that of what they mean."""
        self.hear(1, complete=True, m1=READY, m2=HOLDS)
        self.assert_gate(owners=('m2',), waiting=('m1',))

    def test_first_in_order_not_in_the_message(self):
        self.hear(1, complete=True, m2=READY, m1=READY)
        self.assert_gate(offered=('m1',), waiting=('m2',))

    def test_complete_message_forgets_the_rest(self):
        self.hear(1, m1=READY, m2=READY)
        self.hear(1, m3=READY, source='t')
        self.hear(2, complete=True, m2=READY)
        self.assert_gate(offered=('m2',), waiting=('m3',))

    def test_late_complete_message_forgets_nothing_newer(self):
        self.hear(2, m2=READY)
        self.hear(1, complete=True)
        self.assert_gate(offered=('m2',))

    def test_clock_of_the_source_was_set_back(self):
        self.hear(1, life=9, m1=READY)
        self.hear(1, life=3, complete=True)
        self.assertEqual(9, self.gate.compose('s').answers)
        self.hear(2, life=10, complete=True)
        self.assert_gate()

    def test_clock_of_the_destination_was_set_back(self):
        self.hear(1, knows=70, m1=READY)
        self.assertEqual(71, self.gate.compose('s').incarnation)

    def test_offer_of_a_report_is_posted(self):
        """Nobody answers a report, so an offer needs a message."""
        self.hear(1, complete=True, reported=True, m1=READY)
        self.assertEqual(['s'], self.posted)

    def test_offer_of_an_answered_message_is_not_posted(self):
        self.hear(1, m1=READY)
        self.assertEqual([], self.posted)

    def test_arrival_takes_the_offer(self):
        self.hear(1, m1=READY)
        self.gate.arrives(self.fact('m1'))
        self.assert_gate(owners=('m1',))

    def test_late_word_does_not_free_who_came_without_an_offer(self):
        self.gate.arrives(self.fact('m1'))
        self.hear(1, complete=True, m1=READY)
        self.hear(2, complete=True)
        self.assert_gate(owners=('m1',))

    def test_facts_let_who_came_without_an_offer_wait_again(self):
        self.gate.arrives(self.fact('m1'))
        self.gate.reconcile([self.fact('m1', active=False)])
        self.hear(1, complete=True, m1=WAITS)
        self.assert_gate(waiting=('m1',))

    def test_nothing_is_given_before_all_is_counted(self):
        self.gate = self.make(1)
        self.gate.reconcile([self.fact('m1')])
        self.hear(1, complete=True, m2=READY)
        self.assert_gate(owners=('m1',), waiting=('m2',))
        self.assertEqual('service starts', self.gate.compose('s').standstill)
        self.gate.resume(Standstill.COUNTING)
        self.gate.free('m1')
        self.assert_gate(offered=('m2',))

    def test_nothing_is_given_while_the_service_stops(self):
        self.hear(1, m1=READY, m2=READY)
        self.gate.halt(Standstill.STOPPING)
        self.hear(2, m1=GONE, m3=READY)
        self.assert_gate(waiting=('m2', 'm3'))
        self.gate.resume(Standstill.STOPPING)
        self.assert_gate(offered=('m2',), waiting=('m3',))

    def test_resized_up_and_down(self):
        self.hear(1, m1=READY, m2=READY, m3=READY)
        self.gate.resize(GATE, 2)
        self.assert_gate(offered=('m1', 'm2'), waiting=('m3',))
        self.gate.resize(GATE, 1)
        self.hear(2, m1=GONE)
        self.assert_gate(offered=('m2',), waiting=('m3',))
        self.gate.resize(GATE, 0)
        self.assert_gate(offered=('m2', 'm3'))

    def test_dead_source_keeps_only_what_is_in_progress(self):
        self.gate.resize(GATE, 2)
        self.hear(1, m1=READY, m2=READY, m3=READY)
        self.gate.arrives(self.fact('m1'))
        facts = [self.fact('m1'), self.fact('m2', active=False)]
        self.assertEqual([], self.gate.reconcile(facts, ['s']))
        self.assert_gate(owners=('m1',))

    def test_unknown_record_makes_its_source_doubtful(self):
        queued = [self.fact('m1', active=False)]
        self.assertEqual(['s'], self.gate.reconcile(queued))

    def test_freed_twice(self):
        self.hear(1, m1=READY)
        self.assertTrue(self.gate.free('m1'))
        self.assertFalse(self.gate.free('m1'))
        self.assert_gate()
