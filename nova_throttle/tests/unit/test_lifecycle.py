# SPDX-License-Identifier: Apache-2.0

import testtools

from nova_throttle import exception
from nova_throttle import lifecycle

State = lifecycle.State


class TransitionsTestCase(testtools.TestCase):
    def reachable(self, state):
        found, new = set(), {state}
        while new:
            found |= new
            new = {
                after for each in new for after in lifecycle.TRANSITIONS[each]
            } - found
        return found

    def test_each_state_is_in_the_table_and_can_be_reached(self):
        self.assertEqual(set(State), set(lifecycle.TRANSITIONS))
        self.assertEqual(set(State), self.reachable(State.QUEUED))

    def test_each_state_leads_to_the_end(self):
        for state in State:
            self.assertIn(State.OVER, self.reachable(state))

    def test_what_has_arrived_never_goes_back(self):
        self.assertEqual(
            {State.ARRIVED, State.OVER}, self.reachable(State.ARRIVED)
        )

    def test_what_is_over_stays_so(self):
        self.assertEqual({State.OVER}, self.reachable(State.OVER))

    def test_only_what_is_in_the_driver_can_arrive(self):
        leads = {
            state
            for state, after in lifecycle.TRANSITIONS.items()
            if State.ARRIVED in after
        }
        self.assertEqual({State.TRANSFERRING}, leads)

    def test_each_state_waits_is_in_hand_or_leaves(self):
        self.assertEqual(
            set(State),
            {State.QUEUED} | lifecycle.IN_HAND | lifecycle.LEAVING,
        )
        self.assertFalse(lifecycle.IN_HAND & lifecycle.LEAVING)

    def test_an_illegal_one_is_an_error(self):
        error = self.assertRaises(
            exception.IllegalTransition,
            lifecycle.check,
            State.ARRIVED,
            State.ROLLING_BACK,
        )
        self.assertEqual(
            'a live migration that is arrived cannot become rolling back',
            str(error),
        )
