# SPDX-License-Identifier: Apache-2.0

"""When one is on deck, how many have the link, and when one gives way."""

import testtools

from nova_throttle.transfer import adapt
from nova_throttle.transfer import aside
from nova_throttle.transfer import deck
from nova_throttle.transfer import link as link_lib
from nova_throttle.transfer import progress

Place = link_lib.Place
Progress = progress.Progress
Verdict = aside.Verdict

FLOWS = Progress(done=1, remaining=10**9, rate=1e6, iteration=1, eta=1000.0)


def stalled(passes, **others):
    return Progress(
        done=passes, rate=1e6, iteration=passes + 2, stalled=passes, **others
    )


class DeckTestCase(testtools.TestCase):
    def test_a_start_is_measured(self):
        lead = deck.Lead()
        self.assertEqual(deck.LEAD, lead.seconds)
        for _ in range(30):
            lead.learn(9)
        self.assertAlmostEqual(9, lead.seconds, places=2)
        lead.learn(10**6)
        self.assertLess(lead.seconds, 9 + deck.WEIGHT * deck.LONGEST_LEAD)

    def test_one_ends_soon(self):
        def ends(eta, **others):
            return deck.ends_soon(Progress(eta=eta, **others), lead=2)

        self.assertTrue(ends(2.4))
        self.assertFalse(ends(2.6))
        self.assertFalse(ends(None))
        self.assertFalse(ends(1, stalled=1))


class AsideTestCase(testtools.TestCase):
    """A guest that makes no headway."""

    def test_alone_first_and_then_longer_each_time(self):
        patience = aside.Patience()
        seen = {}
        for passes in range(25):
            verdict = patience.judge(stalled(passes), passes < 4)
            if verdict is not Verdict.GO_ON:
                seen[passes] = verdict
        self.assertEqual(
            {
                3: Verdict.ALONE,
                6: Verdict.ASIDE,
                12: Verdict.ASIDE,
                24: Verdict.ASIDE,
            },
            seen,
        )

    def test_never_if_it_may_not_trickle(self):
        for reason in ('auto_converge', 'post_copy', 'block'):
            patience = aside.Patience()
            progress = stalled(100, **{reason: True})
            self.assertIs(Verdict.GO_ON, patience.judge(progress, False))

    def test_headway_and_passes_at_a_trickle_do_not_count(self):
        patience = aside.Patience()
        self.assertIs(Verdict.GO_ON, patience.judge(stalled(2), False))
        self.assertIs(Verdict.GO_ON, patience.judge(stalled(0), False))
        self.assertIs(Verdict.GO_ON, patience.judge(stalled(2), False))
        patience.begin_turn(stalled(7))
        self.assertIs(Verdict.GO_ON, patience.judge(stalled(9), False))
        self.assertIs(Verdict.ASIDE, patience.judge(stalled(10), False))


class NumberTestCase(testtools.TestCase):
    """A link of 25, where one transfer carries 10 at most."""

    def setUp(self):
        super().setUp()
        self.number = adapt.Number()
        self.now = 0.0
        self.moved = 0

    def go_on(self, seconds, link=25, stream=10, dirty=0.0, **others):
        for _ in range(seconds):
            value = self.number.value
            sample = adapt.Sample(
                self.moved, value, True, dirty, dirty * value
            )
            self.number.observe(sample._replace(**others), self.now)
            self.now += 1
            self.moved += min(link, stream * value)
        return self.number.value

    def test_as_many_as_pay(self):
        # With a third one 5 more of at best 10 are carried, and no more
        # with a fourth.
        self.assertEqual(3, self.go_on(40))
        self.assertEqual(3, self.go_on(15))

    def test_a_link_that_one_fills_is_tried_ever_less(self):
        tries = []
        for second in range(4000):
            before = self.number.value
            if self.go_on(1, link=10) > before:
                tries.append(second)
        self.assertLess(len(tries), 8)
        self.assertEqual(1, self.go_on(10, link=10))

    def test_never_more_than_most(self):
        self.assertEqual(adapt.MOST, self.go_on(300, link=1000))

    def test_not_while_nobody_waits(self):
        self.assertEqual(1, self.go_on(60, waits=False))

    def test_not_if_a_guest_would_not_converge(self):
        self.assertEqual(1, self.go_on(60, dirty=4.0))

    def test_what_has_to_be_sent_again_does_not_pay(self):
        self.assertEqual(2, self.go_on(40, link=22, stream=14))
        self.number = adapt.Number()
        self.go_on(40, link=22, stream=14, dirty=4.0)
        self.assertEqual(1, self.go_on(1, link=22, stream=14, dirty=4.0))

    def test_not_measured_while_it_is_short_of_transfers(self):
        self.assertEqual(1, self.go_on(60, flowing=0))

    def test_a_try_that_nobody_came_for(self):
        self.assertEqual(2, self.go_on(6))
        self.assertEqual(1, self.go_on(1, flowing=1, waits=False))


class LinkTestCase(testtools.TestCase):
    """What follows from what is measured, in order."""

    def setUp(self):
        super().setUp()
        self.link = link_lib.Link()

    def test_an_owner_that_ends_says_it_once(self):
        self.link.begin('a', False, 0.0)
        ends = Progress(done=1, rate=1e6, iteration=1, eta=1.0)
        self.assertEqual((), self.link.observe('a', FLOWS, 1.0))
        self.assertEqual(
            (link_lib.NoteEnd('a'),), self.link.observe('a', ends, 2.0)
        )
        self.assertEqual((), self.link.observe('a', ends, 3.0))

    def test_a_start_is_measured(self):
        self.link.begin('a', False, 10.0)
        self.link.observe('a', Progress(), 15.0)
        self.link.observe('a', FLOWS, 20.0)
        self.assertEqual(2 + 0.3 * 8, self.link.lead.seconds)

    def test_on_deck_and_promoted(self):
        self.link.begin('a', True, 0.0)
        self.assertIs(Place.DECK, self.link.place('a'))
        self.assertEqual((), self.link.observe('a', FLOWS, 1.0))
        self.assertEqual(
            (link_lib.Slow('a', 20.0),), self.link.tick(5.0, True, False)
        )
        self.assertEqual((link_lib.Full('a'),), self.link.promote('a'))
        self.assertEqual((), self.link.promote('a'))
        self.assertEqual((), self.link.tick(10.0, False, False))

    def test_on_deck_in_the_first_pass_only(self):
        self.link.begin('a', True, 0.0)
        second = Progress(done=1, iteration=2)
        self.assertEqual(
            (link_lib.LeaveDeck('a'),), self.link.observe('a', second, 1.0)
        )
        self.assertIs(Place.ASIDE, self.link.place('a'))
        self.assertEqual((), self.link.observe('a', second, 2.0))

    def test_qemu_never_slows_down_the_guest_of_a_trickle(self):
        self.link.begin('a', True, 0.0)
        second = Progress(done=1, iteration=2, auto_converge=True)
        self.assertEqual(
            (link_lib.Full('a'),), self.link.observe('a', second, 1.0)
        )
        self.assertIs(Place.LOOSE, self.link.place('a'))
        self.assertEqual((link_lib.Full('a'),), self.link.promote('a'))

    def test_post_copy_is_never_slow(self):
        self.link.begin('a', True, 0.0)
        progress = Progress(done=1, iteration=1, post_copy=True)
        self.assertEqual(
            (link_lib.Full('a'),), self.link.observe('a', progress, 1.0)
        )

    def test_one_that_stalls_is_slow_before_its_slots_are_free(self):
        self.link.begin('a', False, 0.0)
        self.assertEqual(
            (link_lib.Slow('a', 16.0), link_lib.StepAside('a')),
            self.link.observe('a', stalled(3), 1.0),
        )
        self.assertEqual((link_lib.Full('a'),), self.link.promote('a'))
        # Its next turn is twice as long.
        self.assertEqual((), self.link.observe('a', stalled(8), 2.0))
        self.assertEqual(2, len(self.link.observe('a', stalled(9), 2.0)))

    def test_one_that_stalls_gets_the_link_for_itself_first(self):
        self.link.number.value = self.link._limit = 2
        self.link.begin('a', False, 0.0)
        self.assertEqual(
            (link_lib.Resize(1),), self.link.observe('a', stalled(3), 1.0)
        )
        self.assertEqual((), self.link.observe('a', stalled(5), 1.0))
        self.assertEqual(2, len(self.link.observe('a', stalled(6), 1.0)))
        self.assertEqual((link_lib.Resize(2),), self.link.end('a'))
        self.assertEqual((), self.link.end('a'))

    def test_nothing_is_slow_while_nothing_may_start(self):
        self.link.begin('a', True, 0.0)
        self.link.begin('b', False, 0.0)
        self.assertEqual(
            (link_lib.Full('a'),), self.link.tick(5.0, True, True)
        )
        self.assertEqual((), self.link.tick(10.0, True, False))

    def test_what_is_not_known_is_left_alone(self):
        self.assertEqual((), self.link.observe('a', FLOWS, 0.0))
        self.assertEqual((), self.link.promote('a'))
        self.assertEqual((), self.link.let_go('a'))
        self.assertIsNone(self.link.place('a'))
