# SPDX-License-Identifier: Apache-2.0

"""The two sides of one host: each reason for a standstill is about its own."""

import testtools

from nova_throttle.admission import standstill
from nova_throttle.agreement import controller
from nova_throttle.agreement import destination
from nova_throttle.agreement import source

Standstill = standstill.Standstill


class BothSidesTestCase(testtools.TestCase):
    """What is about one side of a host leaves the other alone."""

    def setUp(self):
        super().setUp()
        self.incoming = destination.Destination('d', 1, {'destination': 1}, id)
        self.throttle = controller.HostController(
            {'in progress': {'source': 1}},
            id,
            source=source.Source('d', 1),
            tell=id,
            destination=self.incoming,
        )
        self.throttle.resume(Standstill.COUNTING)

    def assert_gives(self, gives):
        self.assertEqual(gives, not self.incoming.compose('s').standstill)

    def test_a_pause_is_about_what_leaves(self):
        self.throttle.halt(Standstill.PAUSED)
        self.assert_gives(True)

    def test_what_comes_is_not_counted_because_the_queue_is_restored(self):
        self.throttle.halt(Standstill.STARTING)
        self.throttle.halt(Standstill.COUNTING)
        self.throttle.resume(Standstill.STARTING)
        self.assert_gives(False)

    def test_a_stop_is_about_both(self):
        self.throttle.halt(Standstill.STOPPING)
        self.assert_gives(False)
        self.assertTrue(self.throttle.closed)

    def test_gates_of_both_sides_are_seen_and_changed(self):
        self.throttle.resize('source', 3)
        self.throttle.resize('destination', 4)
        gates = self.throttle.snapshot().gates
        self.assertEqual(
            {'source': 3, 'destination': 4},
            {name: gate.limit for name, gate in gates.items()},
        )
        for name, limit in ('source', 3), ('destination', 4):
            self.assertEqual(limit, self.throttle.gate(name).limit)
