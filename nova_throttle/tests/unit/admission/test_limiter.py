# SPDX-License-Identifier: Apache-2.0

"""Slots are owned by name; a limit changes at once, both ways."""

import testtools

from nova_throttle.admission import limiter
from nova_throttle import exception


class LimiterTestCase(testtools.TestCase):
    def test_never_more_owners_than_slots(self):
        gate = limiter.Limiter('source', 2)
        gate.acquire('a')
        gate.acquire('b')
        error = self.assertRaises(exception.GateFull, gate.acquire, 'c')
        self.assertEqual(('source', 2), (error.gate, error.limit))
        self.assertEqual(('a', 'b'), gate.owners)

    def test_acquire_twice_is_an_error_not_a_leak(self):
        gate = limiter.Limiter('source', 2)
        gate.acquire('a')
        error = self.assertRaises(exception.AlreadyOwner, gate.acquire, 'a')
        self.assertEqual(('a', 'source'), (error.owner, error.gate))
        self.assertEqual(('a',), gate.owners)

    def test_release_by_owner_only(self):
        gate = limiter.Limiter('source', 1)
        gate.acquire('a')
        self.assertFalse(gate.release('b'))
        self.assertEqual(0, gate.room())
        self.assertTrue(gate.release('a'))
        self.assertFalse(gate.release('a'))
        self.assertGreater(gate.room(), 0)

    def test_zero_is_unlimited(self):
        gate = limiter.Limiter('source', 0)
        for owner in range(1000):
            gate.acquire(str(owner))
        self.assertGreater(gate.room(), 0)

    def test_lowered_limit_keeps_owners_and_admits_nobody(self):
        gate = limiter.Limiter('source', 3)
        for owner in 'abc':
            gate.acquire(owner)
        gate.resize(1)
        self.assertEqual(('a', 'b', 'c'), gate.owners)
        gate.release('a')
        gate.release('b')
        self.assertEqual(0, gate.room())
        gate.release('c')
        self.assertEqual(1, gate.room())

    def test_negative_limit_changes_nothing(self):
        gate = limiter.Limiter('source', 3)
        error = self.assertRaises(exception.InvalidLimit, gate.resize, -1)
        self.assertEqual(('source', -1), (error.gate, error.limit))
        self.assertEqual(3, gate.limit)
        self.assertRaises(
            exception.InvalidLimit, limiter.Limiter, 'source', -1
        )

    def test_repr_is_a_status_line(self):
        gate = limiter.Limiter('source', 2)
        gate.acquire('a')
        self.assertEqual('<Limiter source: 1 of 2>', repr(gate))
        gate.resize(0)
        self.assertEqual('<Limiter source: 1 of unlimited>', repr(gate))
