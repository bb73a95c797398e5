# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Where a lab's things are, and what scenarios make of what they saw."""

import pathlib
import tempfile
import types
import unittest

from labkit import plan as plans
from labkit.plan import Plan
from labkit.scenarios import drain
from labkit.scenarios import limit


def line(at, number, status):
    return {'at': at, 'id': number, 'status': status}


class PlanTestCase(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.plan = Plan(pathlib.Path(place.name), 2)

    def test_hosts(self):
        self.assertEqual(['ctl', 'compute1', 'compute2'], self.plan.all_hosts)
        self.assertEqual('10.99.0.10', self.plan.address('ctl'))
        self.assertEqual('10.99.1.12', self.plan.address('compute2', 'mig'))

    def test_what_is_remembered_outlives_a_command(self):
        self.assertEqual('ours', self.plan.mode)
        self.plan.remember(mode='plain')
        self.plan.remember(computes=4)
        again = Plan(self.plan.work)
        self.assertEqual('plain', again.mode)
        self.assertEqual({'mode': 'plain', 'computes': 4}, again.recall())

    def test_the_password_is_one_and_private(self):
        path = self.plan.run / 'password'
        password = self.plan.password
        self.assertEqual(password, Plan(self.plan.work).password)
        self.assertEqual(0o600, path.stat().st_mode & 0o777)

    def test_indices(self):
        self.assertEqual(0, plans.index(plans.CONTROL))
        self.assertEqual(3, plans.index('compute3'))


class DurationsTestCase(unittest.TestCase):
    def test_from_preparing_to_completed(self):
        history = [
            line(0, 1, 'queued'),
            line(1, 1, 'preparing'),
            line(2, 1, 'running'),
            line(2, 2, 'preparing'),
            line(5, 1, 'completed'),
            line(6, 2, 'error'),
        ]
        watch = types.SimpleNamespace(history=history)
        self.assertEqual([4], drain.durations(watch))


class LimitTestCase(unittest.TestCase):
    history = (
        line(1, 1, 'preparing'),
        line(2, 2, 'preparing'),
        line(3, 1, 'running'),
        line(4, 1, 'completed'),
        line(5, 3, 'preparing'),
        line(6, 2, 'completed'),
        line(7, 4, 'preparing'),
    )

    def test_one_started_when_another_ended(self):
        self.history = (
            line(1, 1, 'running'),
            line(2, 2, 'preparing'),
            line(2, 1, 'completed'),
        )
        self.assertFalse(self.started(since=1))

    def started(self, since):
        watch = types.SimpleNamespace(history=self.history)
        return limit._started_beside_another(watch, since)

    def test_one_started_beside_another(self):
        self.assertTrue(self.started(since=4))

    def test_none_did_later(self):
        self.assertFalse(self.started(since=7))
