# SPDX-License-Identifier: Apache-2.0

"""A limit that is found out, beside one that is set."""

import testtools

from nova_throttle.agreement import controller
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages
from nova_throttle.agreement import source
from nova_throttle import exception

INTO = messages.TRANSFER_IN


class AutomaticTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        gates = {messages.DESTINATION: 2, INTO: 0, messages.DECK_IN: 1}
        self.source = source.Source('h', 1, tuple(gates))
        self.throttle = controller.HostController(
            {'in progress': {'source': 4}, 'transfer': {'out': 0}},
            lambda grant: None,
            source=self.source,
            tell=lambda host: None,
            destination=destination.Destination(
                'h', 1, gates, lambda host: None
            ),
        )

    def seen(self, gate):
        state = self.throttle.snapshot().gates[gate]
        self.assertEqual(state, self.throttle.gate(gate))
        return state.limit, state.automatic

    def test_found_out_from_one_on(self):
        for gate in ('out', INTO):
            self.assertEqual((0, False), self.seen(gate))
            self.throttle.find_out(gate)
            self.assertEqual((1, True), self.seen(gate))
        self.assertEqual(1, self.source.transfers)

    def test_what_was_found_is_kept_when_it_is_said_again(self):
        self.throttle.find_out('out')
        self.throttle.resize_link('out', 3)
        self.throttle.find_out('out')
        self.assertEqual((3, True), self.seen('out'))

    def test_a_number_is_kept(self):
        for gate in ('out', INTO):
            self.throttle.find_out(gate)
            self.throttle.resize(gate, 5)
            self.assertEqual((5, False), self.seen(gate))
        self.assertEqual(5, self.source.transfers)

    def test_a_bad_number_changes_nothing(self):
        for gate in ('out', INTO):
            self.throttle.find_out(gate)
            self.assertRaises(
                exception.InvalidLimit, self.throttle.resize, gate, -1
            )
            self.assertEqual((1, True), self.seen(gate))
        self.assertEqual(1, self.source.transfers)

    def test_that_of_what_is_in_progress_cannot_be_found_out(self):
        for gate in ('source', messages.DESTINATION):
            self.assertRaises(
                exception.InvalidLimit, self.throttle.find_out, gate
            )

    def test_the_deck_is_no_gate_for_anybody(self):
        for change in (
            self.throttle.find_out,
            self.throttle.gate,
            lambda gate: self.throttle.resize(gate, 1),
        ):
            self.assertRaises(exception.UnknownGate, change, messages.DECK_IN)
