# SPDX-License-Identifier: Apache-2.0

"""Gates that are kept in Placement, in a real one."""

import fixtures
from nova.scheduler.client import report
from nova import test
from nova.tests.functional import fixtures as func_fixtures
from oslo_utils import uuidutils

from nova_throttle import exception
from nova_throttle.placement import editor as editor_lib
from nova_throttle.placement import errors
from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import store as store_lib


class PlacementTestCase(test.TestCase):
    """Placement, and two gates in it."""

    def setUp(self):
        super().setUp()
        self.useFixture(func_fixtures.PlacementFixture())
        self.store = store_lib.Store(report.SchedulerReportClient())
        self.editor = editor_lib.Editor(self.store)

    def create(self, name='cluster', limit=2, hosts=('*',)):
        self.editor.create(name, limit, hosts)
        return self.editor.find(name)

    def claim(self, *gates, uuid=None, host='src'):
        uuid = uuid or uuidutils.generate_uuid()
        return uuid if self.store.claim(uuid, host, gates) else None

    def state(self, gate):
        return self.store.state(gate)


class GateTestCase(PlacementTestCase):
    def test_no_gate(self):
        self.assertEqual((), self.store.gates())

    def test_create_and_list(self):
        rack = self.create('rack-12', 3, ['cmp-1*', 'odd & name+'])
        cluster = self.create()
        self.assertEqual((cluster, rack), self.store.gates())
        self.assertEqual(('cmp-1*', 'odd & name+'), rack.hosts)
        self.assertEqual(gate_lib.State(3), self.state(rack))

    def test_create_twice_changes_what_differs(self):
        self.create('rack', 3, ['a', 'b'])
        rack = self.create('rack', 4, ['b', 'c'])
        self.assertEqual((rack,), self.store.gates())
        self.assertEqual(('b', 'c'), rack.hosts)
        self.assertEqual(4, self.state(rack).limit)

    def test_create_completes_what_was_made_half_way(self):
        for name in ('_mark', 'set_hosts'):
            with fixtures.MockPatchObject(
                self.editor, name, side_effect=RuntimeError
            ):
                self.assertRaises(RuntimeError, self.create)
        self.assertEqual(('*',), self.create().hosts)

    def test_bad_input(self):
        for name in ('', '-a', 'a:b', 'a b', 'x' * 64, 'ä'):
            self.assertRaises(errors.InvalidGate, self.create, name)
        for pattern in ('', 'x' * 200, 'a\nb'):
            self.assertRaises(
                errors.InvalidPattern, self.create, hosts=[pattern]
            )
        self.assertRaises(exception.InvalidLimit, self.create, limit=-1)
        self.assertRaises(exception.UnknownGate, self.editor.find, 'none')

    def test_delete(self):
        gate = self.create()
        uuid = self.claim(gate)
        self.assertRaises(errors.GateInUse, self.editor.delete, gate)
        self.assertEqual((gate,), self.store.gates())
        self.store.free(uuid)
        self.editor.delete(gate)
        self.assertEqual((), self.store.gates())
        self.assertTrue(self.state(gate).gone)

    def test_pause(self):
        gate = self.create()
        owner = self.claim(gate)
        self.editor.pause(gate)
        self.assertEqual(
            gate_lib.State(2, (owner,), paused=True), self.state(gate)
        )
        self.assertIsNone(self.claim(gate))
        self.editor.set_limit(gate, 5)
        self.assertTrue(self.state(gate).paused)
        self.editor.proceed(gate)
        self.assertEqual(gate_lib.State(5, (owner,)), self.state(gate))


class ClaimTestCase(PlacementTestCase):
    def test_never_more_owners_than_slots(self):
        gate = self.create()
        a, b = self.claim(gate), self.claim(gate)
        self.assertIsNone(self.claim(gate))
        self.assertCountEqual((a, b), self.state(gate).owners)
        self.assertTrue(self.store.free(a))
        self.assertFalse(self.store.free(a))
        self.assertIsNotNone(self.claim(gate))

    def test_all_or_none(self):
        cluster, rack = self.create(), self.create('rack', 1)
        first = self.claim(cluster, rack)
        self.assertIsNone(self.claim(cluster, rack))
        self.assertEqual((first,), self.state(cluster).owners)

    def test_twice_is_like_once(self):
        gate = self.create(limit=1)
        uuid = self.claim(gate)
        self.assertEqual(uuid, self.claim(gate, uuid=uuid))
        self.assertEqual((uuid,), self.state(gate).owners)
        self.assertEqual('src', self.store.host_of(uuid))

    def test_other_gates_than_before(self):
        cluster, rack = self.create(), self.create('rack')
        uuid = self.claim(cluster)
        self.assertIsNone(self.claim(cluster, rack, uuid=uuid))
        self.assertIsNone(self.store.host_of(uuid))
        self.assertEqual(uuid, self.claim(cluster, rack, uuid=uuid))

    def test_lowered_limit_lets_owners_finish(self):
        gate = self.create()
        a, b = self.claim(gate), self.claim(gate)
        self.editor.set_limit(gate, 1)
        self.store.free(a)
        self.assertIsNone(self.claim(gate))
        self.store.free(b)
        self.assertIsNotNone(self.claim(gate))

    def test_an_unlimited_gate_counts(self):
        gate = self.create(limit=0)
        uuids = [self.claim(gate) for _ in range(3)]
        self.assertEqual(
            gate_lib.State(0, tuple(sorted(uuids))), self.state(gate)
        )
        self.editor.set_limit(gate, 1)
        self.assertIsNone(self.claim(gate))

    def test_a_gate_that_is_gone(self):
        gate = self.create()
        self.editor.delete(gate)
        self.assertIsNone(self.claim(gate))

    def test_placement_is_away(self):
        gate = self.create()
        self.useFixture(
            fixtures.MockPatchObject(
                report.SchedulerReportClient, 'get', side_effect=OSError
            )
        )
        self.assertRaises(errors.PlacementAway, self.store.gates)
        self.assertRaises(errors.PlacementAway, self.state, gate)
