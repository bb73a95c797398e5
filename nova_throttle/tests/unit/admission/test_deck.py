# SPDX-License-Identifier: Apache-2.0

"""One is on deck while another ends; and one gives the link to others."""

from concurrent import futures

import testtools

from nova_throttle.admission import controller
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import stages
from nova_throttle.admission import standstill
from nova_throttle import exception

FIRST, LAST, DECK = 'in progress', 'transfer', stages.DECK


class DeckTestCase(testtools.TestCase):
    """A link of one; ``self.started`` has what was let in, in order."""

    def setUp(self):
        super().setUp()
        self.started = []
        self.throttle = controller.Controller(
            {FIRST: {'source': 0}, LAST: {'link': 1}, DECK: {'deck': 1}},
            self._start,
        )
        self.tickets = {}

    def _start(self, grant):
        if grant.stage != FIRST:
            self.started.append((grant.request.migration_uuid, grant.stage))

    def come(self, *names, early=True, priority=0):
        for name in names:
            needs = tuple(
                request_lib.Needs((gate,))
                for gate in ('source', 'link', 'deck')
            )
            self.throttle.submit(
                request_lib.Request(
                    name, f'i-{name}', 'there', needs, priority=priority
                )
            )
            self.tickets[name] = futures.Future()
            self.throttle.advance(name, self.tickets[name], early)

    def take_started(self):
        started, self.started = self.started, []
        return started

    def queued(self):
        return [e.migration_uuid for e in self.throttle.snapshot().queue]

    def owners(self):
        return self.throttle.gate('link').owners

    def test_while_one_ends_the_next_is_on_deck(self):
        self.come('a', 'b', 'c')
        self.assertEqual([('a', LAST)], self.take_started())
        self.throttle.note_end('a')
        self.assertEqual([('b', DECK)], self.take_started())
        # It goes on to wait, where it stood, and owns no slot of the link.
        self.assertEqual(['b', 'c'], self.queued())
        self.assertEqual(('a',), self.owners())
        self.throttle.leave('a')
        self.assertEqual([('b', LAST)], self.take_started())
        self.assertEqual(('b',), self.owners())
        self.throttle.note_end('b')
        self.assertEqual([('c', DECK)], self.take_started())

    def test_its_ticket_is_over_when_it_has_the_link(self):
        self.come('a', 'b')
        self.throttle.note_end('a')
        self.assertTrue(self.tickets['b'].running())
        self.throttle.leave('a')
        self.assertIsNone(self.tickets['b'].result(timeout=0))

    def test_who_has_the_link_at_once_is_never_on_deck(self):
        self.come('a')
        self.throttle.note_end('a')
        self.throttle.leave('a')
        self.come('b')
        self.assertEqual([('a', LAST), ('b', LAST)], self.started)

    def test_nobody_is_on_deck_whose_owner_goes_on(self):
        self.come('a', 'b')
        self.assertEqual([('a', LAST)], self.started)

    def test_of_two_owners_one_that_ends_is_enough(self):
        self.throttle.resize('link', 2)
        self.come('a', 'b', 'c', 'd')
        self.throttle.note_end('b')
        self.throttle.note_end('a')
        self.assertEqual(('c', DECK), self.started[-1])
        self.assertEqual(3, len(self.started))

    def test_more_owners_than_slots(self):
        self.throttle.resize('link', 2)
        self.come('a', 'b', 'c')
        self.throttle.resize('link', 1)
        self.throttle.note_end('a')
        self.assertEqual([('a', LAST), ('b', LAST)], self.take_started())
        self.throttle.note_end('b')
        self.assertEqual([('c', DECK)], self.take_started())
        self.throttle.leave('a')
        self.assertEqual([], self.take_started())

    def test_one_that_may_not_is_passed_over(self):
        self.come('a')
        self.come('b', early=False)
        self.come('c')
        self.throttle.note_end('a')
        self.assertEqual([('a', LAST), ('c', DECK)], self.take_started())
        # The link is given in order of arrival all the same.
        self.throttle.leave('a')
        self.assertEqual([('b', LAST)], self.take_started())

    def test_cancelled_before(self):
        self.come('a', 'b', 'c')
        self.assertTrue(self.tickets['b'].cancel())
        self.throttle.note_end('a')
        self.assertEqual([('a', LAST), ('c', DECK)], self.started)

    def test_cancelled_too_late(self):
        self.come('a', 'b')
        self.throttle.note_end('a')
        self.assertFalse(self.tickets['b'].cancel())
        self.throttle.leave('a')
        self.assertEqual(('b',), self.owners())

    def test_one_on_deck_is_over(self):
        for end in (self.throttle.leave, self.throttle.finish):
            self.come('a', 'b', 'c')
            self.throttle.note_end('a')
            self.take_started()
            end('b')
            end('b')
            self.assertEqual([('c', DECK)], self.take_started())
            self.assertEqual(['c'], self.queued())
            for name in 'abc':
                self.throttle.finish(name)

    def test_one_leaves_the_deck_and_waits_on(self):
        self.come('a', 'b', 'c')
        self.throttle.note_end('a')
        self.throttle.release('b', DECK)
        self.assertEqual(('c', DECK), self.take_started()[-1])
        self.assertEqual(['b', 'c'], self.queued())
        self.throttle.leave('a')
        self.assertEqual([('b', LAST)], self.take_started())

    def test_nothing_is_on_deck_during_a_standstill(self):
        self.come('a', 'b')
        self.throttle.halt(standstill.Standstill.STARTING)
        self.throttle.note_end('a')
        self.assertEqual([('a', LAST)], self.take_started())
        self.throttle.resume(standstill.Standstill.STARTING)
        self.assertEqual([('b', DECK)], self.take_started())

    def test_a_start_that_fails(self):
        self.come('a', 'b', 'c')
        failed = []

        def start(grant):
            if grant.stage == DECK and not failed:
                failed.append(grant)
                raise ValueError('no')
            self.started.append((grant.request.migration_uuid, grant.stage))

        self.throttle._dispatcher._start = start
        self.throttle.note_end('a')
        self.assertEqual(('c', DECK), self.started[-1])
        self.assertRaises(ValueError, self.tickets['b'].result, 0)

    def test_the_deck_is_no_gate_for_anybody(self):
        self.come('a', 'b')
        self.throttle.note_end('a')
        self.assertEqual(
            {'source', 'link'}, set(self.throttle.snapshot().gates)
        )
        self.assertRaises(
            exception.UnknownGate, self.throttle.resize, 'deck', 2
        )

    def test_who_has_the_link_goes_no_further(self):
        self.come('a')
        self.assertRaises(
            exception.NoFurtherStage,
            self.throttle.advance,
            'a',
            futures.Future(),
        )

    def test_one_steps_aside_for_all_that_wait(self):
        self.come('a', 'b', 'c')
        self.throttle.step_aside('a')
        self.assertEqual(['c', 'a'], self.queued())
        self.throttle.leave('b')
        self.throttle.leave('c')
        self.assertEqual(
            [('a', LAST), ('b', LAST), ('c', LAST), ('a', LAST)], self.started
        )

    def test_but_not_for_a_lower_priority(self):
        self.come('a')
        self.come('b', priority=1)
        self.throttle.step_aside('a')
        self.assertEqual([('a', LAST), ('a', LAST)], self.started)

    def test_nobody_waits(self):
        self.come('a')
        self.throttle.step_aside('a')
        self.assertEqual([('a', LAST), ('a', LAST)], self.started)
        self.assertEqual(('a',), self.owners())

    def test_without_the_link_nobody_steps_aside(self):
        self.come('a', 'b')
        for name in ('b', 'nobody'):
            self.assertRaises(
                exception.NotInProgress, self.throttle.step_aside, name
            )

    def test_one_that_stepped_aside_is_over(self):
        self.come('a', 'b')
        self.throttle.step_aside('a')
        self.throttle.leave('a')
        self.throttle.finish('a')
        self.assertEqual([], self.queued())
        self.assertEqual(('b',), self.owners())
