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

"""The check after each case finds what is left behind, and nothing else."""

import json
import pathlib
import tempfile
import unittest
from unittest import mock

from labkit.cloud import Action
from labkit.cloud import Migration
from labkit.cloud import Server
from labkit import computes
from labkit.plan import Plan
from labkit import settled


class FakeCloud:
    """A cloud of one server that has moved from compute1 to compute2."""

    def __init__(self):
        self.server = {
            'id': 'server',
            'name': 's1',
            'host': 'compute2',
            'status': 'ACTIVE',
            'task_state': None,
            'domain': 'instance-1',
            'fault': '',
        }
        self.status = 'completed'
        self.allocations = {'server': ['two'], 'migration': []}
        self.ports = [[('compute2', 'ACTIVE')]]
        self.event = {'result': 'Success'}
        self.end = '2026-11-26T00:00:00'

    def servers(self):
        return [Server(**self.server)]

    def migrations(self, after):
        places = ('compute1', 'compute2')
        return [Migration(1, 'migration', 'server', *places, self.status, '')]

    def providers(self):
        return {'one': 'compute1', 'two': 'compute2'}

    def allocated_on(self, consumer):
        return self.allocations[consumer]

    def bindings(self, server):
        return self.ports

    def migration_event(self, server):
        return self.event

    def actions(self, server):
        names = ('create', 'live-migration', 'live_migration_cancel')
        return [Action(name, f'req-{name}', '') for name in names]

    def events(self, server, action):
        end = None if action.name == 'create' else self.end
        return [{'event': 'compute', 'finish_time': end}]


class ProblemsTestCase(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.plan = Plan(pathlib.Path(place.name), 2)
        self.cloud = FakeCloud()
        self.domains = {'compute1': {}, 'compute2': {'instance-1': 'running'}}
        patch = mock.patch.object(
            computes,
            'domains',
            autospec=True,
            side_effect=lambda plan, host: self.domains[host],
        )
        patch.start()
        self.addCleanup(patch.stop)
        self.make_disk('compute2')

    def make_disk(self, host):
        path = self.plan.host_dir(host) / 'nova/instances/server'
        path.mkdir(parents=True)

    def assert_found(self, *problems):
        found = settled.problems(self.plan, self.cloud)
        self.assertEqual(list(problems), found)

    def test_nothing(self):
        self.assert_found()

    def test_server_in_error(self):
        self.cloud.server['status'] = 'ERROR'
        self.assert_found('server s1 is ERROR')

    def test_server_that_migrates(self):
        self.cloud.server['task_state'] = 'migrating'
        self.assert_found('server s1 has task migrating')

    def test_record_that_is_not_final(self):
        self.cloud.status = 'queued'
        self.assert_found('migration 1 is queued')

    def test_event_that_contradicts_the_record(self):
        self.cloud.status = 'error'
        self.assert_found(
            'the event of s1 says Success, its migration is error'
        )

    def test_allocation_of_the_migration(self):
        self.cloud.allocations['migration'] = ['one']
        self.assert_found('migration 1 has an allocation')

    def test_allocation_of_another_host(self):
        self.cloud.allocations['server'] = ['one', 'two']
        self.assert_found(
            'server s1 on compute2 has allocations of compute1 and compute2'
        )

    def test_inactive_binding(self):
        self.cloud.ports[0].append(('compute1', 'INACTIVE'))
        self.assert_found(
            'a port of s1 on compute2 is bound to: compute2 ACTIVE, '
            'compute1 INACTIVE'
        )

    def test_domain_on_both_hosts(self):
        self.domains['compute1'] = {'instance-1': 'shut off'}
        self.assert_found('compute1 has a domain of s1, shut off')

    def test_domain_that_is_gone(self):
        self.domains['compute2'] = {}
        self.assert_found('compute2 has no domain of s1')

    def test_domain_that_is_paused(self):
        self.domains['compute2'] = {'instance-1': 'paused'}
        self.assert_found('the domain of s1 on compute2 is paused')

    def test_disk_on_another_host(self):
        self.make_disk('compute1')
        self.assert_found('compute1 has a directory of s1')

    def test_disk_that_is_gone(self):
        (self.plan.host_dir('compute2') / 'nova/instances/server').rmdir()
        self.assert_found('compute2 has no directory of s1')

    def test_action_without_an_end(self):
        self.cloud.end = None
        self.assert_found(
            'compute of s1 has no end (req-live-migration)',
            'compute of s1 has no end (req-live_migration_cancel)',
        )

    def test_second_event_of_a_name(self):
        """Nova ends only one of them."""
        events = self.cloud.events
        self.cloud.events = lambda *args: [
            *events(*args),
            *({**event, 'finish_time': None} for event in events(*args)),
        ]
        self.assert_found()


class GatesTestCase(unittest.TestCase):
    """What the operator's command says of one host."""

    def setUp(self):
        self.gate = {
            'Gate': 'source',
            'Owners': [],
            'Offered': [],
            'Waiting': 0,
        }
        self.queue = []
        for name, answer in (('throttled', True), ('throttle', self.say)):
            patch = mock.patch.object(computes, name, autospec=True)
            double = patch.start()
            self.addCleanup(patch.stop)
            if callable(answer):
                double.side_effect = answer
            else:
                double.return_value = answer

    def say(self, plan, host, noun, *words):
        return json.dumps([self.gate] if noun == 'gate' else self.queue)

    def find(self):
        return list(settled._of_gates(Plan(pathlib.Path('/nowhere'), 1)))

    def test_nothing(self):
        self.assertEqual([], self.find())

    def test_an_owner(self):
        self.gate['Owners'] = ['m1']
        self.assertEqual(
            ["the gate source of compute1 has owners: ['m1']"], self.find()
        )

    def test_one_that_is_queued(self):
        self.queue = [{'Migration': 'm1'}]
        self.assertEqual(['m1 is queued on compute1'], self.find())
