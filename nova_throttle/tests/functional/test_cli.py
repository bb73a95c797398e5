# SPDX-License-Identifier: Apache-2.0

"""The operator's commands, on real services and as a real program."""

import os
import subprocess
import sys

import fixtures
from oslo_serialization import jsonutils
import testtools

from nova_throttle import overrides
from nova_throttle.tests.functional import base
from nova_throttle.tests import shell as shell_lib


class ShellTestCase(base.ThrottleTestCase):
    """The shell runs in this process and talks over Nova's own bus."""

    def setUp(self):
        super().setUp()
        # Of this process, and connected already.
        self.useFixture(fixtures.MockPatch('nova_throttle.cmd.bus.connect'))

    def read(self, *words):
        """Run a command that works; return its rows."""
        status, out, err = shell_lib.run(*words, '-f', 'json')
        self.assertEqual((0, ''), (status, err))
        return jsonutils.loads(out)

    def assert_fails(self, expected, *words, status=1):
        found, out, err = shell_lib.run(*words)
        self.assertEqual((status, ''), (found, out))
        (line,) = err.splitlines()
        self.assertTrue(line.startswith('nova-throttle'), line)
        self.assertIn(expected, line)

    def test_migration_list(self):
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.guests.send(a, 30 * 2**20, 10 * 2**20)
        self.wait_for(lambda: self.throttle.snapshot().progress)
        expected = [
            {
                'Migration': self.migration(server).uuid,
                'Server': server['id'],
                'Destination': 'dest',
                'State': state,
                'Done %': done,
                'Rate MiB/s': rate,
                'Remaining MiB': remaining,
                'Pass': number,
                'ETA s': None,
                'Problem': '',
            }
            for server, state, done, rate, remaining, number in (
                (a, 'transferring', 75, 0.0, 10, 1),
                (b, 'queued', *[None] * 4),
            )
        ]
        self.assertEqual(expected, self.read('migration', 'list', 'src'))

    def test_queue_list(self):
        a, b, c = self.boot(3)
        self.guests.hold(a, b, c)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.migrate(c)
        first, second = self.read('queue', 'list', 'src')
        self.assertEqual(
            {
                'Position': 1,
                'Migration': self.migration(b).uuid,
                'Server': b['id'],
                'Destination': 'dest',
                'Priority': 'normal',
                'Seconds Waited': first['Seconds Waited'],
                'Waits For': [
                    {
                        'reason': 'gate full',
                        'gate': 'source',
                        'limit': 1,
                        'owners': [self.migration(a).uuid],
                        'host': '',
                        'position': 0,
                    }
                ],
                'Progress': [],
            },
            first,
        )
        self.assertGreaterEqual(first['Seconds Waited'], 0)
        self.assertEqual((2, c['id']), (second['Position'], second['Server']))
        status, table, err = shell_lib.run('queue', 'list', 'src')
        self.assertEqual((0, ''), (status, err))
        self.assertIn('gate full: source (1 of 1 in progress)', table)
        self.assertEqual([], self.read('queue', 'list', 'dest'))

    def test_gate_list(self):
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        out, wire, into, _ = self.read('gate', 'list', 'src')
        self.assertEqual(
            {
                'Gate': 'source',
                'Limit': 1,
                'In Progress': 1,
                'Owners': [self.migration(a).uuid],
                'Progress': [None],
                'Offered': [],
                'Waiting': 0,
                'Paused': None,
            },
            out,
        )
        self.assertEqual(('destination', 0), (into['Gate'], into['Limit']))
        self.assertEqual(
            ('transfer-out', 0, [self.migration(a).uuid]),
            (wire['Gate'], wire['Limit'], wire['Owners']),
        )
        status, table, err = shell_lib.run('gate', 'list', 'src')
        self.assertEqual((0, ''), (status, err))
        self.assertIn(self.migration(a).uuid, table)

    def test_raising_the_limit_starts_more_at_once(self):
        a, b, c = self.boot(3)
        self.guests.hold(a, b, c)
        self.migrate(a, b, c)
        self.guests.wait_running(a)
        row, *_ = self.read('limit', 'set', 'src', 2)
        self.assertEqual(2, row['Limit'])
        # As soon as the destination agrees.
        self.guests.wait_running(a, b)
        self.assertEqual('queued', self.status(c))
        self.assertIn(
            'the limit of gate source was changed from 1 to 2',
            self.stdlog.logger.output,
        )
        row, *_ = self.read('limit', 'set', 'src', 0, '--gate', 'source')
        self.assertEqual(0, row['Limit'])
        self.guests.wait_running(a, b, c)

    def test_lowering_the_limit_lets_present_owners_finish(self):
        self.read('limit', 'set', 'src', 2)
        a, b, c = self.boot(3)
        self.guests.hold(a, b, c)
        self.migrate(a, b)
        self.guests.wait_running(a, b)
        row, *_ = self.read('limit', 'set', 'src', 1)
        self.assertEqual((1, 2), (row['Limit'], row['In Progress']))
        self.migrate(c)
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: len(self.owners()) == 1)
        self.assertEqual('queued', self.status(c))
        self.guests.release(b)
        self.guests.wait_running(c)

    def test_the_limit_of_a_destination(self):
        self.read('limit', 'set', 'src', 0)
        before, _, after, _ = self.read(
            'limit', 'set', 'dest', 'destination', 1
        )
        self.assertEqual((1, 1), (before['Limit'], after['Limit']))
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.wait_for(lambda: self.into('dest')['Waiting'] == 1)
        self.settle()
        (queued,) = self.read('queue', 'list', 'src')
        self.assertEqual(
            [
                {
                    'reason': 'gate full',
                    'gate': 'destination',
                    'limit': 1,
                    'owners': [self.migration(a).uuid],
                    'host': 'dest',
                    'position': 1,
                }
            ],
            queued['Waits For'],
        )
        self.read('limit', 'set', 'dest', 'destination', 2)
        self.guests.wait_running(a, b)
        found = self.into('dest')
        self.assertEqual(2, found['Limit'])
        self.assertEqual(
            {self.migration(a).uuid, self.migration(b).uuid},
            {*found['Owners'], *found['Offered']},
        )

    def into(self, host):
        """Return the row of the gate for what comes to a host."""
        rows = self.read('gate', 'list', host)
        return next(row for row in rows if row['Gate'] == 'destination')

    def test_unlimited_is_said_in_words(self):
        status, table, _ = shell_lib.run('limit', 'set', 'src', 0)
        self.assertEqual(0, status)
        self.assertIn('unlimited', table)

    def test_negative_limit(self):
        self.assert_fails(
            'must be 0 or more, not -1', 'limit', 'set', 'src', -1
        )
        self.assertEqual(1, self.throttle.snapshot().gates['source'].limit)

    def test_unknown_gate(self):
        self.assert_fails(
            'no gate named moon',
            *('limit', 'set', 'src', 2, '--gate', 'moon'),
        )

    def test_nobody_answers(self):
        self.assert_fails(
            'host nowhere did not answer in 0.1 seconds',
            *('--timeout', '0.1', 'gate', 'list', 'nowhere'),
        )

    def test_a_host_without_us(self):
        overrides.uninstall()
        # Before the base class looks for throttles.
        self.addCleanup(self.computes.pop, 'plain')
        self.start_compute(hostname='plain')
        self.assert_fails(
            'nova-throttle is not active on host plain',
            *('gate', 'list', 'plain'),
        )


class ProgramTestCase(testtools.TestCase):
    """The program reads its configuration, on native threads."""

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path

    def config(self, text):
        path = os.path.join(self.dir, 'nova.conf')
        with open(path, 'w') as config_file:
            config_file.write(text)
        return path

    def assert_fails(self, expected, config_file):
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'nova_throttle.cmd.cli'),
                *('--config-file', config_file, '--timeout', '0.1'),
                *('gate', 'list', 'somewhere'),
            ],
            capture_output=True,
            text=True,
            timeout=base.PATIENCE,
        )
        self.assertEqual((1, ''), (done.returncode, done.stdout))
        (line,) = done.stderr.splitlines()
        self.assertIn(expected, line)
        self.assertNotIn('secret', line)

    def test_nobody_answers(self):
        self.assert_fails(
            'host somewhere did not answer',
            self.config('[DEFAULT]\ntransport_url = fake:/\n'),
        )

    def test_no_bus(self):
        # A port that nobody listens on.
        self.assert_fails(
            'no message bus could be reached',
            self.config(
                '[DEFAULT]\ntransport_url = rabbit://me:secret@127.0.0.1:1/\n'
            ),
        )

    def test_no_such_file(self):
        path = os.path.join(self.dir, 'nowhere.conf')
        self.assert_fails(path, path)

    def test_not_a_configuration_file(self):
        path = self.config('[DEFAULT]\nsecret\n')
        self.assert_fails(f'{path} is not a configuration file', path)

    def test_not_a_transport_url(self):
        for url in ('rabbit://me:secret@host:port/', 'rabbit:secret'):
            self.assert_fails(
                '[DEFAULT] transport_url is not valid'
                if url.startswith('rabbit://')
                else 'no message bus could be reached',
                self.config(f'[DEFAULT]\ntransport_url = {url}\n'),
            )
