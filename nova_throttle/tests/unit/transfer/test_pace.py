# SPDX-License-Identifier: Apache-2.0

"""Whatever is slow is at full speed soon after the last word for it."""

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
import testtools

from nova_throttle.transfer import pace as pace_lib


class Wire:
    """Carries out what a pace wants, unless it is broken."""

    def __init__(self):
        self.now = 100.0
        self.pace = pace_lib.Pace(lambda: self.now)
        self.broken = False
        self.calls = []

    def carry_out(self, slow):
        self.calls.append(slow)
        return not self.broken


class PaceTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.wire = Wire()
        self.pace = self.wire.pace

    def begin(self, slow=False):
        if slow:
            self.pace.slow()
        self.assertEqual(slow, self.pace.begin(self.wire.carry_out))
        self.pace.settle(on_wire=True)
        self.assertEqual([], self.wire.calls)

    def test_it_is_at_full_speed_unless_told(self):
        self.begin()
        self.wire.now += 1000
        self.pace.settle(on_wire=True)
        self.assertEqual([], self.wire.calls)
        self.assertEqual('<Pace full>', repr(self.pace))

    def test_it_begins_slow_and_goes_on_at_full_speed(self):
        self.begin(slow=True)
        self.assertEqual('<Pace slow>', repr(self.pace))
        self.pace.full()
        self.pace.full()
        self.assertEqual([False], self.wire.calls)

    def test_slow_again_before_anything_is_sent(self):
        """It went on at full speed: the word between had been carried out."""
        self.pace.slow()
        self.pace.begin(self.wire.carry_out)
        self.pace.full()
        self.pace.slow()
        self.assertEqual([False], self.wire.calls)
        self.pace.settle(on_wire=True)
        self.assertEqual([False, True], self.wire.calls)

    def test_it_is_slowed_down_on_its_way(self):
        self.begin()
        self.assertTrue(self.pace.slow())
        self.pace.settle(on_wire=True)
        self.assertEqual([True], self.wire.calls)

    def test_a_word_that_is_not_repeated_is_void_after_fifteen_seconds(self):
        self.begin(slow=True)
        self.wire.now += 14
        self.pace.slow()
        self.wire.now += 14
        self.pace.settle(on_wire=True)
        self.assertEqual([], self.wire.calls)
        self.wire.now += 1
        self.pace.settle(on_wire=True)
        self.assertEqual([False], self.wire.calls)
        self.assertFalse(self.pace.is_slow)

    def test_what_came_too_early_is_done_again(self):
        """libvirt sets the speed of the start when the job has begun."""
        self.pace.slow()
        self.pace.begin(self.wire.carry_out)
        self.pace.full()
        self.pace.settle(on_wire=False)
        self.pace.settle(on_wire=True)
        self.assertEqual([False, False, False], self.wire.calls)
        self.pace.settle(on_wire=True)
        self.assertEqual(3, len(self.wire.calls))

    def test_it_is_never_slowed_before_anything_is_sent(self):
        """Such a speed stays for the next migration of the guest."""
        self.pace.begin(self.wire.carry_out)
        self.pace.slow()
        self.pace.settle(on_wire=False)
        self.assertEqual([], self.wire.calls)
        self.pace.settle(on_wire=True)
        self.assertEqual([True], self.wire.calls)

    def test_a_word_before_it_begins_may_be_taken_back(self):
        self.pace.slow()
        self.pace.full()
        self.begin()

    def test_who_insists_has_it_at_full_speed_for_good(self):
        self.begin(slow=True)
        self.pace.insist()
        self.assertFalse(self.pace.slow())
        self.pace.settle(on_wire=True)
        self.assertEqual([False], self.wire.calls)

    def test_who_insists_before_it_begins(self):
        self.pace.slow()
        self.pace.insist()
        self.begin()

    def test_what_fails_is_tried_again(self):
        self.begin(slow=True)
        self.wire.broken = True
        self.pace.full()
        self.pace.settle(on_wire=True)
        self.wire.broken = False
        self.pace.settle(on_wire=True)
        self.pace.settle(on_wire=True)
        self.assertEqual([False] * 3, self.wire.calls)

    def test_nothing_is_carried_out_after_the_end(self):
        self.begin(slow=True)
        self.pace.end()
        self.pace.full()
        self.pace.settle(on_wire=True)
        self.assertEqual([], self.wire.calls)

    def test_a_change_while_one_is_carried_out_comes_after_it(self):
        def carry_out(slow):
            self.wire.calls.append(slow)
            if len(self.wire.calls) == 1:
                self.pace.slow()
            return True

        self.pace.slow()
        self.pace.begin(carry_out)
        self.pace.settle(on_wire=True)
        self.pace.full()
        self.assertEqual([False, True], self.wire.calls)


class PaceMachine(stateful.RuleBasedStateMachine):
    """Any order of words, faults and looks."""

    def __init__(self):
        super().__init__()
        self.wire = Wire()
        self.pace = self.wire.pace
        self.told = None
        self.insisted = False
        self.is_slow = None

    def carry_out(self, slow):
        if self.wire.broken:
            return False
        self.is_slow = slow
        return True

    @stateful.rule()
    def slow(self):
        self.pace.slow()
        self.told = self.wire.now

    @stateful.rule()
    def full(self):
        self.pace.full()
        self.told = None

    @stateful.rule()
    def insist(self):
        self.pace.insist()
        self.insisted = True

    @stateful.precondition(lambda self: self.is_slow is None)
    @stateful.rule()
    def begin(self):
        self.is_slow = self.pace.begin(self.carry_out)

    @stateful.rule(broken=st.booleans())
    def break_or_mend(self, broken):
        self.wire.broken = broken

    @stateful.rule(seconds=st.floats(0, 20))
    def wait(self, seconds):
        self.wire.now += seconds

    @stateful.precondition(lambda self: self.is_slow is not None)
    @stateful.rule()
    def look(self):
        self.pace.settle(on_wire=True)
        if not self.wire.broken:
            said = self.told is not None and not self.insisted
            good = said and self.wire.now < self.told + pace_lib.LEASE
            assert self.is_slow == good, (self.is_slow, self.told)


PaceMachineTestCase = PaceMachine.TestCase
PaceMachineTestCase.settings = hypothesis.settings(deadline=None)
