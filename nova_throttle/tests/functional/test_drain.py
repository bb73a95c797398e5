# SPDX-License-Identifier: Apache-2.0

"""Drains of a host, by the command, in a whole Nova."""

import os
import signal

import fixtures

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import drains
from nova_throttle.tests import shell as shell_lib


class DrainTestCase(drains.DrainTestCase):
    limit = 2

    def setUp(self):
        super().setUp()
        # There are no disks here; Nova's own tests do the same.
        self.useFixture(
            fixtures.MockPatch(
                'nova.virt.libvirt.driver.LibvirtDriver.'
                'migrate_disk_and_power_off',
                return_value='{}',
            )
        )

    def test_an_empty_host(self):
        self.assertEqual([], self.drain('start', 'src', '--reason', 'fans'))
        service = self.service()
        self.assertEqual('disabled', service['status'])
        self.assertEqual('drain: fans', service['disabled_reason'])

    def test_a_dry_run_changes_nothing(self):
        (a,) = self.boot()
        (row,) = self.drain('start', 'src', '--dry-run')
        self.assertEqual(
            {
                'Server': a['id'],
                'Name': a['name'],
                'Status': 'ACTIVE',
                'MiB': row['MiB'],
                'Way': 'live',
                'Reason': '',
            },
            row,
        )
        self.assertEqual('enabled', self.service()['status'])
        self.assertEqual('ACTIVE', self.api.get_server(a['id'])['status'])
        self.assertEqual(0, len(self.migrations(a)))

    def test_all_kinds(self):
        live, paused, stopped, locked, tagged = self.boot(5)
        self.act(paused, 'pause', 'PAUSED')
        self.act(stopped, 'os-stop', 'SHUTOFF')
        self.api.post_server_action(locked['id'], {'lock': None})
        self.tag(tagged, 'nova-throttle:drain=skip')
        rows = self.drain('start', 'src', '--dry-run', status=1)
        expected = {
            locked['id']: ('stay', 'is locked'),
            tagged['id']: ('stay', 'is tagged nova-throttle:drain=skip'),
            live['id']: ('live', ''),
            paused['id']: ('live', ''),
            stopped['id']: ('cold', ''),
        }
        self.assertEqual(
            expected,
            {row['Server']: (row['Way'], row['Reason']) for row in rows},
        )
        self.assertEqual(['stay', 'stay'], [row['Way'] for row in rows[:2]])
        rows = self.rows(self.start(), 1)
        self.assertEqual(
            {locked['id'], tagged['id']}, {row['Server'] for row in rows}
        )
        for server, status in (
            (live, 'ACTIVE'),
            (paused, 'PAUSED'),
            (stopped, 'SHUTOFF'),
        ):
            found = self._wait_for_state_change(server, status)
            self.assertEqual('dest', found['OS-EXT-SRV-ATTR:host'])
        self.api.post_server_action(locked['id'], {'unlock': None})
        self.api.api_delete(f'/servers/{tagged["id"]}/tags')
        self.assertEqual([], self.rows(self.start(), 0))

    def act(self, server, action, status):
        self.api.post_server_action(server['id'], {action: None})
        self._wait_for_state_change(server, status)

    def tag(self, server, tag):
        self.api.api_put(
            *(f'/servers/{server["id"]}/tags', {'tags': [tag]}),
            check_response_status=[200],
        )

    def test_one_that_fails(self):
        a, b = self.boot(2)
        self.guests.fail(a)
        self.assertEqual([], self.rows(self.start(), 0))
        self.assertEqual(
            ['completed', 'failed'],
            sorted(each.status for each in self.migrations(a)),
        )

    def test_one_that_fails_for_good(self):
        a, b = self.boot(2)
        self.guests.fail(a)
        (row,) = self.rows(self.start('--attempts', '1'), 1)
        self.assertEqual(a['id'], row['Server'])
        self.assertIn('failed', row['Reason'])
        self.assertEqual('dest', self.host_of(b))

    def test_killed_in_the_middle_and_started_again(self):
        servers = self.boot(3)
        self.guests.hold(*servers)
        process = self.spawn(
            *('drain', 'start', 'src', '--wait', '--interval', '0.1s'),
        )
        for status, count in (('running', 2), ('queued', 1)):
            self.wait_for(lambda s=status, n=count: self.count(s) == n)
        process.send_signal(signal.SIGKILL)
        process.wait()
        first = {'id': self.guests.started[0]}
        self.guests.release(first)
        self.wait_status(first, 'completed')
        drained = self.start()
        self.guests.release_all()
        self.assertEqual([], self.rows(drained, 0))
        for server in servers:
            self.assert_on(server, 'dest')
            # Nothing was asked for twice.
            self.assertEqual(1, len(self.migrations(server)))

    def test_cancel(self):
        a, b, c = self.boot(3)
        self.guests.hold(a, b, c)
        drained = self.start('--reason', 'fans')
        for status, count in (('running', 2), ('queued', 1)):
            self.wait_for(lambda s=status, n=count: self.count(s) == n)
        (row,) = self.drain('list')
        self.assertEqual(
            ('src', 'fans', 0, 2, 1, 3),
            tuple(
                row[name]
                for name in (
                    *('Host', 'Reason', 'Moved', 'On The Wire'),
                    *('Queued', 'Left'),
                )
            ),
        )
        (row,) = self.drain('cancel', 'src')
        self.assertEqual('aborted', row['Result'])
        (waited,) = (each for each in (a, b, c) if each['id'] == row['Server'])
        self.assertEqual(3, len(self.rows(drained, 1)))
        self.assertEqual('cancelled', self.status(waited))
        service = self.service()
        self.assertEqual('disabled', service['status'])
        self.assertEqual('cancelled drain: fans', service['disabled_reason'])
        self.assertEqual([], self.drain('list'))
        # Again, and now all of it.
        rows = self.drain('cancel', 'src', '--abort-running')
        self.assertEqual(['aborted'] * 2, [row['Result'] for row in rows])
        for server in (a, b, c):
            self.assert_left(server, 'cancelled')

    def test_pause_and_resume(self):
        # Of this process, and connected already.
        self.useFixture(fixtures.MockPatch('nova_throttle.cmd.bus.connect'))
        (a,) = self.boot()
        self.assertEqual([], self.drain('pause', 'src'))
        drained = self.start()
        self.wait_for(lambda: self.count('queued') == 1)
        (row,) = self.drain('resume', 'src')
        self.assertEqual(a['id'], row['Server'])
        self.assertEqual([], self.rows(drained, 0))

    def count(self, status):
        found = self.api.api_get(f'/os-migrations?status={status}').body
        return len(found['migrations'])

    def test_undo(self):
        a, b = self.boot(2)
        self.assertEqual([], self.rows(self.start(), 0))
        shown = self.drain('show', 'src')
        self.assertEqual(2, shown['Moved'])
        self.assertEqual([], shown['Servers Left'])
        self.assert_on(a, 'dest')
        self.assert_on(b, 'dest')
        self.api.post_server_action(b['id'], {'lock': None})
        self.assertEqual(
            {
                a['id']: 'asked for: back from dest',
                b['id']: 'stays on dest: is locked',
            },
            {
                row['Server']: row['Result']
                for row in self.drain('undo', 'src')
            },
        )
        self.wait_for(lambda: self.host_of(a) == 'src')
        self.assert_on(a, 'src')
        self.assertEqual('enabled', self.service()['status'])
        for command in ('show', 'cancel', 'undo'):
            result = shell_lib.run('drain', command, 'src')
            self.assertEqual(
                (1, '', 'nova-throttle: host src is not being drained\n'),
                result,
            )

    def test_report(self):
        a, b = self.boot(2)
        self.guests.fail(a)
        self.assertEqual([], self.rows(self.start(), 0))
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'p')
        rows = self.drain('report', 'src', '--html', path)
        self.assertEqual(
            {a['id']: (2, 'completed'), b['id']: (1, 'completed')},
            {row['Server']: (row['Attempts'], row['Result']) for row in rows},
        )
        with open(path) as picture:
            text = picture.read()
        for phase in ('preparing', 'on the wire', 'finishing', 'failed'):
            self.assertIn(f'<title>{phase}', text)
        status, out, err = shell_lib.run('drain', 'report', 'dest')
        self.assertEqual((1, ''), (status, out))
        self.assertIn('nothing has migrated from host dest', err)

    def test_targets(self):
        self.start_compute(hostname='third')
        a, b = self.boot(2)
        drained = self.start('--target', 'third')
        self.assertEqual([], self.rows(drained, 0))
        for server in (a, b):
            self.assert_on(server, 'third')

    def test_a_host_without_nova_compute(self):
        for words in (
            ('start', 'moon'),
            ('start', 'src', '--target', 'moon'),
            ('show', 'moon'),
        ):
            status, out, err = shell_lib.run('drain', *words)
            self.assertEqual(
                'nova-throttle: there is no nova-compute on host moon\n', err
            )
            self.assertEqual((1, ''), (status, out))
        self.assertEqual('enabled', self.service()['status'])

    def test_interrupted(self):
        (a,) = self.boot()
        self.guests.hold(a)
        process = self.spawn(
            *('drain', 'start', 'src', '--wait', '--interval', '0.1s'),
        )
        self.guests.wait_running(a)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=base.PATIENCE)
        self.assertEqual((1, ''), (process.returncode, out), err)
        self.assertIn('the drain of src goes on; watch it with', err)
        self.assertNotIn('Traceback', err)
        self.guests.release_all()
        self.wait_status(a, 'completed')

    def test_a_deadline(self):
        (a,) = self.boot()
        self.guests.hold(a)
        (row,) = self.rows(self.start('--deadline', '0.2s'), 1)
        self.assertEqual(a['id'], row['Server'])
        # It may have no record yet when the deadline comes.
        self.assertRegex(row['Reason'], '^(was asked for|its migration is )')
        # Nova's services are not to stop while they ask each other.
        self.guests.wait_running(a)

    def test_force_complete_at_the_deadline(self):
        (a,) = self.boot()
        self.guests.hold(a)
        drained = self.start(
            *('--deadline', '0.2s', '--at-deadline', 'force-complete'),
        )
        self.wait_for(
            lambda: (
                'live_migration_force_complete'
                in [
                    each['action']
                    for each in self.api.get_instance_actions(a['id'])
                ]
            )
        )
        self.guests.release(a)
        self.assertEqual([], self.rows(drained, 0))

    def test_no_host_has_room(self):
        (a,) = self.boot()
        service = self.service('dest')
        self.api.put_service(service['id'], {'status': 'disabled'})
        (row,) = self.rows(self.start('--attempts', '1'), 1)
        self.assertIn('No valid host', row['Reason'])
        self.api.put_service(service['id'], {'status': 'enabled'})
        self.assertEqual([], self.rows(self.start(), 0))

    def test_the_api_is_away_for_a_while(self):
        (a,) = self.boot()
        self.guests.hold(a)
        drained = self.start()
        self.guests.wait_running(a)
        self.stop_serving()
        self.wait_for(lambda: 'trying again' in drained.err)
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.serve()
        self.assertEqual([], self.rows(drained, 0))
