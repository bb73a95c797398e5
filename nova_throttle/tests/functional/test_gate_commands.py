# SPDX-License-Identifier: Apache-2.0

"""The commands about gates of the cloud, on a real Placement."""

import fixtures
from nova import context as nova_context
from nova import objects
from oslo_serialization import jsonutils
from oslo_upgradecheck import upgradecheck
from oslo_utils.fixture import uuidsentinel as uuids

from nova_throttle.cmd import checks
from nova_throttle.placement import errors
from nova_throttle.placement import http
from nova_throttle.tests.functional import test_gates
from nova_throttle.tests import shell as shell_lib


class CommandTestCase(test_gates.PlacementTestCase):
    def setUp(self):
        super().setUp()
        # Of this process, and connected already.
        for name in ('connect', 'use_conductor'):
            self.useFixture(
                fixtures.MockPatch(f'nova_throttle.cmd.bus.{name}')
            )

    def run_gate(self, *words):
        """Run a command that works; return what it shows."""
        status, out, err = shell_lib.run('gate', *words, '-f', 'json')
        self.assertEqual((0, ''), (status, err))
        return jsonutils.loads(out)

    def assert_fails(self, expected, *words, status=1):
        found, out, err = shell_lib.run('gate', *words)
        self.assertEqual((status, ''), (found, out))
        (line,) = err.splitlines()
        self.assertTrue(line.startswith('nova-throttle'), line)
        self.assertIn(expected, line)

    def test_create_twice_and_show(self):
        expected = {
            'Gate': 'cluster',
            'Limit': 2,
            'Paused': False,
            'In Progress': 0,
            'Owners': [],
            'Hosts': ['*'],
        }
        for _ in range(2):
            shown = self.run_gate('create', 'cluster', '--limit', 2)
            self.assertEqual(expected, shown)
        self.assertEqual(expected, self.run_gate('show', 'cluster'))
        self.assertEqual([expected], self.run_gate('list'))

    def test_set(self):
        self.create(hosts=['a'])
        gate = self.store.gates()[0]
        owner = self.claim(gate)
        shown = self.run_gate('set', 'cluster', '--limit', 0, '--pause')
        self.assertEqual((0, True), (shown['Limit'], shown['Paused']))
        self.assertEqual([owner], shown['Owners'])
        shown = self.run_gate('set', 'cluster', '--resume', '--hosts', 'b*')
        self.assertEqual((False, ['b*']), (shown['Paused'], shown['Hosts']))
        status, table, _ = shell_lib.run('gate', 'list')
        self.assertEqual(0, status)
        self.assertIn('unlimited', table)

    def test_delete(self):
        gate = self.create()
        owner = self.claim(gate)
        self.assert_fails('is in use', 'delete', 'cluster')
        self.store.free(owner)
        for _ in range(2):
            self.assertEqual(0, shell_lib.run('gate', 'delete', 'cluster')[0])
        self.assertEqual([], self.run_gate('list'))

    def test_hosts_of_an_aggregate(self):
        aggregate = objects.Aggregate(
            nova_context.get_admin_context(), name='rack', uuid=uuids.rack
        )
        aggregate.create()
        words = ('create', 'rack-1', '--limit', 1, '--aggregate', 'rack')
        self.assert_fails('no aggregate rack that has hosts', *words)
        aggregate.add_host('cmp-1')
        aggregate.add_host('cmp-2')
        shown = self.run_gate(*words)
        self.assertEqual(['cmp-1', 'cmp-2'], sorted(shown['Hosts']))

    def test_reconcile(self):
        gate = self.create(limit=3)
        over, runs, unknown = (self.claim(gate) for _ in range(3))
        for uuid, status in ((over, 'error'), (runs, 'running')):
            objects.Migration(
                nova_context.get_admin_context(),
                uuid=uuid,
                status=status,
                migration_type='live-migration',
                source_compute='src',
                source_node='src',
            ).create()
        self.assertEqual(
            [{'Migration': over, 'Host': 'src', 'Status': 'error'}],
            self.run_gate('reconcile'),
        )
        self.assertEqual([], self.run_gate('reconcile'))
        self.assertCountEqual((runs, unknown), self.state(gate).owners)

    def test_bad_input(self):
        limit = ('--limit', 1)
        self.assert_fails('there is no gate named x', 'show', 'x')
        self.assert_fails('there is no gate named x', 'set', 'x', *limit)
        self.assert_fails('is no name of a gate', 'create', 'a:b', *limit)
        self.assert_fails('each host has', 'create', 'source', *limit)
        self.assert_fails('must be 0 or more', 'create', 'x', '--limit', -1)
        self.assert_fails('--limit', 'create', 'x', status=2)
        self.assert_fails('nothing to change', 'set', 'x', status=2)

    def test_upgrade_check(self):
        check = checks.Checks()._check_placement
        self.assertEqual(
            (upgradecheck.Code.SUCCESS, None),
            (check().code, check().details),
        )
        self.useFixture(fixtures.MockPatchObject(http, 'VERSION', '9.9'))
        self.assertEqual(upgradecheck.Code.WARNING, check().code)
        self.assertIn('does not have microversion 9.9', check().details)

    def test_placement_is_away(self):
        self.useFixture(
            fixtures.MockPatchObject(
                self.store.client._session,
                'get',
                side_effect=errors.PlacementAway(reason='test'),
            )
        )
        self.useFixture(
            fixtures.MockPatch(
                'nova_throttle.compute.placement.connect',
                return_value=self.store,
            )
        )
        self.assert_fails('Placement cannot be asked: test', 'list')
