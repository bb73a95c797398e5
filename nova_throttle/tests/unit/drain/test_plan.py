# SPDX-License-Identifier: Apache-2.0

"""How each server may leave, and in which order."""

import testtools

from nova_throttle.drain import plan
from nova_throttle.tests.unit.drain import base

SKIP = frozenset({'nova-throttle:drain=skip'})
COLD = frozenset({'nova-throttle:drain=cold'})


class JudgeTestCase(testtools.TestCase):
    def test_the_way(self):
        for expected, more in (
            ('live', {}),
            ('live', {'status': 'PAUSED'}),
            ('live', {'tags': frozenset({'web', 'nova-throttle:drain=x'})}),
            ('cold', {'status': 'SHUTOFF'}),
            ('cold', {'tags': COLD}),
            ('stay', {'status': 'PAUSED', 'tags': COLD}),
            ('stay', {'tags': SKIP}),
            ('stay', {'status': 'SHUTOFF', 'tags': SKIP}),
            ('stay', {'task': 'rebuilding'}),
        ):
            verdict = plan.judge(base.server('a', **more), False)
            self.assertEqual(expected, verdict.way.value, more)
            self.assertEqual(expected == 'stay', bool(verdict.reason))

    def test_the_reason(self):
        for expected, passing, more in (
            ('is locked', False, {'lock': ''}),
            ('is locked: audit', False, {'lock': 'audit'}),
            ('is busy: rebuilding', True, {'task': 'rebuilding'}),
            ('is in ERROR', False, {'status': 'ERROR'}),
            ('is suspended', False, {'status': 'SUSPENDED'}),
            ('is shelved', False, {'status': 'SHELVED'}),
            ('is BUILD', True, {'status': 'BUILD'}),
            ('is NEWS', False, {'status': 'NEWS'}),
        ):
            verdict = plan.judge(base.server('a', **more), False)
            self.assertEqual(
                (expected, passing), (verdict.reason, verdict.passing)
            )

    def test_stopped_ones_are_skipped(self):
        stopped = base.server('a', status='SHUTOFF')
        self.assertIs(plan.Way.STAY, plan.judge(stopped, True).way)


class OrderTestCase(testtools.TestCase):
    def test_order(self):
        verdicts = [
            plan.judge(each, False)
            for each in (
                base.server('b', memory=2, created='1'),
                base.server('a', memory=2, created='3'),
                base.server('c', memory=1, created='2'),
            )
        ]
        for order, expected in (
            ('smallest', 'cab'),
            ('largest', 'abc'),
            ('arrival', 'bca'),
        ):
            found = plan.in_order(verdicts, plan.Order(order))
            self.assertEqual(
                expected, ''.join(each.server.name for each in found)
            )
