# SPDX-License-Identifier: Apache-2.0

"""What a person or a script gets to see.

What the commands do on real services is shown by the functional tests.
"""

import csv
import datetime
import io
import json
from unittest import mock

import fixtures
from oslo_utils.fixture import uuidsentinel as uuids
import testtools
import yaml

from nova_throttle.cmd import shell
from nova_throttle import exception
from nova_throttle.objects import pause as pause_obj
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle.tests import shell as shell_lib
from nova_throttle.transfer import progress as progress_lib

MIB = 1024 * 1024

SNAPSHOT = snapshot_obj.Snapshot(
    host='src',
    closed=False,
    gates=[
        snapshot_obj.Gate(name='source', limit=1, owners=[uuids.running]),
        snapshot_obj.Gate(
            name='destination',
            limit=0,
            owners=[],
            offered=[uuids.offered],
            waiting=[uuids.a, uuids.b],
        ),
    ],
    queue=[
        snapshot_obj.QueueEntry(
            migration_uuid=uuids.queued,
            instance_uuid=uuids.instance,
            destination='dest',
            priority=0,
            position=1,
            seconds_waited=2.345,
            waits_for=[
                snapshot_obj.Wait(
                    reason='gate full',
                    gate='source',
                    limit=1,
                    owners=[uuids.running],
                ),
                snapshot_obj.Wait(
                    reason='gate full',
                    gate='destination',
                    limit=2,
                    owners=[uuids.c, uuids.d],
                    host='dest',
                    position=3,
                ),
            ],
        )
    ],
    migrations=[
        snapshot_obj.MigrationView(
            migration_uuid=uuids.running,
            instance_uuid=uuids.instance,
            destination='dest',
            state='transferring',
            problem='',
        ),
        snapshot_obj.MigrationView(
            migration_uuid=uuids.queued,
            instance_uuid=uuids.instance,
            destination='dest',
            state='queued',
            problem='',
        ),
    ],
    transfers=[
        snapshot_obj.TransferProgress.of(
            uuids.running,
            progress_lib.Progress(
                done=300 * MIB,
                remaining=100 * MIB,
                rate=20.25 * MIB,
                iteration=2,
                eta=5.4,
            ),
        )
    ],
)

PROGRESS = {
    'Done %': 75,
    'Rate MiB/s': 20.2,
    'Remaining MiB': 100,
    'Pass': 2,
    'ETA s': 5,
}

MIGRATIONS = [
    {
        'Migration': migration,
        'Server': uuids.instance,
        'Destination': 'dest',
        'State': state,
        **progress,
        'Problem': '',
    }
    for migration, state, progress in (
        (uuids.running, 'transferring', PROGRESS),
        (uuids.queued, 'queued', dict.fromkeys(PROGRESS)),
    )
]

GATES = [
    {
        'Gate': 'source',
        'Limit': 1,
        'In Progress': 1,
        'Owners': [uuids.running],
        'Progress': [PROGRESS],
        'Offered': [],
        'Waiting': 0,
        'Paused': None,
    },
    {
        'Gate': 'destination',
        'Limit': 0,
        'In Progress': 0,
        'Owners': [],
        'Progress': [],
        'Offered': [uuids.offered],
        'Waiting': 2,
        'Paused': None,
    },
]

QUEUE = [
    {
        'Position': 1,
        'Migration': uuids.queued,
        'Server': uuids.instance,
        'Destination': 'dest',
        'Priority': 'normal',
        'Seconds Waited': 2.3,
        'Waits For': [
            {
                'reason': 'gate full',
                'gate': 'source',
                'limit': 1,
                'owners': [uuids.running],
                'host': '',
                'position': 0,
            },
            {
                'reason': 'gate full',
                'gate': 'destination',
                'limit': 2,
                'owners': [uuids.c, uuids.d],
                'host': 'dest',
                'position': 3,
            },
        ],
        'Progress': [],
    }
]


class ShellTestCase(testtools.TestCase):
    """The shell, with a host's answer that is known."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatch('nova_throttle.cmd.bus.connect'))
        self.ask = self.useFixture(
            fixtures.MockPatch(
                'nova_throttle.cmd.bus.ask', return_value=SNAPSHOT
            )
        ).mock

    def read(self, *words):
        status, out, err = shell_lib.run(*words)
        self.assertEqual((0, ''), (status, err))
        return out

    def assert_fails(self, expected_status, expected, *words):
        status, out, err = shell_lib.run(*words)
        self.assertEqual((expected_status, ''), (status, out))
        (line,) = err.splitlines()
        self.assertTrue(line.startswith('nova-throttle'), line)
        self.assertIn(expected, line)

    def test_for_machines(self):
        for expected, *command in (
            (GATES, 'gate', 'list', 'src'),
            (GATES, 'limit', 'set', 'src', '1'),
            (QUEUE, 'queue', 'list', 'src'),
            (MIGRATIONS, 'migration', 'list', 'src'),
        ):
            self.assertEqual(
                expected, json.loads(self.read(*command, '-f', 'json'))
            )
            self.assertEqual(
                expected, yaml.safe_load(self.read(*command, '-f', 'yaml'))
            )
            rows = csv.DictReader(
                io.StringIO(self.read(*command, '-f', 'csv'))
            )
            self.assertEqual(
                [list(row) for row in expected], list(map(list, rows))
            )

    def test_for_people(self):
        gates = self.read('gate', 'list', 'src')
        self.assertIn(uuids.running, gates)
        self.assertIn(uuids.offered, gates)
        self.assertIn('unlimited', gates)
        self.assertIn(
            '75 % done, 20.2 MiB/s, 100 MiB left, pass 2, ETA 5 s', gates
        )
        self.assertNotIn('None', self.read('migration', 'list', 'src'))
        queue = self.read('queue', 'list', 'src')
        self.assertIn('gate full: source (1 of 1 in progress)', queue)
        self.assertIn(
            'gate full: destination dest (2 of 2 in progress, position 3)',
            queue,
        )

    def test_which_gate_has_a_limit_set(self):
        api = mock.Mock()
        for gate, *words in (
            ('source', 3),
            ('destination', 'destination', 3),
            ('destination', 3, '--gate', 'destination'),
        ):
            self.read('limit', 'set', 'src', *words)
            host, _, question = self.ask.call_args.args
            question(api, 'ctxt')
            self.assertEqual('src', host)
            api.set_limit.assert_called_with('ctxt', gate, 3)

    def test_a_pause_is_said_beside_an_empty_queue(self):
        snapshot = snapshot_obj.Snapshot(
            host='src',
            closed=False,
            gates=SNAPSHOT.gates,
            queue=[],
            pause=pause_obj.Pause(
                reason='new switch',
                since=datetime.datetime(
                    2026, 11, 26, 3, tzinfo=datetime.timezone.utc
                ),
                request_id='req-1',
                user='root@cpu1',
            ),
        )
        self.ask.return_value = snapshot
        status, out, err = shell_lib.run('queue', 'list', 'src', '-f', 'json')
        self.assertEqual((0, '[]\n'), (status, out))
        words = 'since 2026-11-26T03:00:00Z by root@cpu1: new switch'
        self.assertEqual(
            f'nova-throttle: the queue of src is paused {words}\n', err
        )
        self.assertIn(words, self.read('gate', 'list', 'src'))
        gate, _ = json.loads(self.read('gate', 'list', 'src', '-f', 'json'))
        self.assertEqual(
            {
                'since': '2026-11-26T03:00:00+00:00',
                'user': 'root@cpu1',
                'request': 'req-1',
                'reason': 'new switch',
            },
            gate['Paused'],
        )

    def test_what_a_change_of_the_queue_asks_for(self):
        uuid = uuids.queued
        find = self.useFixture(
            fixtures.MockPatch(
                'nova_throttle.cmd.bus.source_of', return_value='src'
            )
        ).mock
        for called, *words in (
            (
                mock.call.set_priority('ctxt', uuid, 'background'),
                *('queue', 'set', uuid, '--priority', 'background'),
            ),
            (
                mock.call.set_priority('ctxt', uuid, 'promoted'),
                *('queue', 'promote', uuid),
            ),
            (mock.call.hold('ctxt', uuid), 'queue', 'hold', uuid),
            (mock.call.release('ctxt', uuid), 'queue', 'release', uuid),
            (mock.call.cancel('ctxt', uuid), 'queue', 'cancel', uuid),
            (mock.call.pause('ctxt', ''), 'queue', 'pause', 'src'),
            (mock.call.resume('ctxt'), 'queue', 'resume', 'src'),
        ):
            api = mock.Mock()
            self.read(*words)
            host, _, question = self.ask.call_args.args
            question(api, 'ctxt')
            self.assertEqual('src', host)
            self.assertEqual([called], api.mock_calls)
        find.reset_mock()
        self.read('queue', 'hold', uuid, '--host', 'other')
        self.assertEqual('other', self.ask.call_args.args[0])
        find.assert_not_called()

    def test_one_value(self):
        words = ('gate', 'list', 'src', '-f', 'value', '-c', 'Limit')
        self.assertEqual('1\n0\n', self.read(*words))

    def test_timeout(self):
        for words, expected in (
            (('gate', 'list', 'src'), shell.TIMEOUT),
            (('--timeout', '2.5', 'gate', 'list', 'src'), 2.5),
            (('gate', 'list', 'src', '--timeout', '3'), 3),
        ):
            self.read(*words)
            self.assertEqual(('src', expected), self.ask.call_args.args[:2])

    def test_wrong_usage(self):
        for words, expected in (
            ((), 'no command given'),
            (('fly',), 'no such command: fly'),
            (('gate',), 'no such command: gate'),
            (('queue', 'list'), 'required: HOST'),
            (('gate', 'list', 'src', 'dest'), 'unrecognized arguments: dest'),
            (('gate', 'list', ''), "'' is no name of a host"),
            (('queue', 'list', ' '), "' ' is no name of a host"),
            (('queue', 'set', uuids.a), 'required: --priority'),
            (
                ('queue', 'set', uuids.a, '--priority', 'promoted'),
                # Some releases of Python quote each of them.
                "invalid choice: 'promoted' (choose from",
            ),
            (('queue', 'hold', '7'), '7 is no UUID of a migration'),
            (('queue', 'cancel'), 'required: MIGRATION'),
            (('queue', 'pause'), 'required: HOST'),
            (('limit', 'set', '', '0'), "'' is no name of a host"),
            (('limit', 'set', 'a\nb', '0'), "'a\\nb' is no name of a host"),
            (
                ('limit', 'set', 'src', 'many'),
                "'many' is neither a number nor auto",
            ),
            (('limit', 'set', 'src'), 'required: LIMIT'),
            (('--timeout', 'long', 'gate', 'list', 'src'), 'not long'),
            (('--timeout', '0', 'gate', 'list', 'src'), 'not 0'),
            (('--timeout', 'nan', 'gate', 'list', 'src'), 'not nan'),
            (('--colour', 'gate', 'list', 'src'), '--colour'),
        ):
            self.assert_fails(2, expected, *words)
        self.ask.assert_not_called()

    def test_no_such_column(self):
        self.assert_fails(
            1, 'No recognized column', 'gate', 'list', 'src', '-c', 'Colour'
        )

    def test_an_error_is_one_line(self):
        for error, expected in (
            (exception.UnknownGate(gate='moon'), 'no gate named moon'),
            (RuntimeError('first\nsecond'), 'first second'),
            (RuntimeError(), 'RuntimeError'),
            (OSError(2, 'no disk'), 'no disk'),
        ):
            self.ask.side_effect = error
            self.assert_fails(1, expected, 'gate', 'list', 'src')

    def test_an_error_shows_no_password(self):
        self.ask.side_effect = RuntimeError('rabbit://me:p@ss/w@host: no')
        self.assert_fails(1, 'rabbit://***@host: no', 'gate', 'list', 'src')

    def test_help(self):
        overview = self.read('--help')
        for command in shell.COMMANDS:
            self.assertIn(command, overview)
        for words in (('limit', 'set', '-h'), ('help', 'limit', 'set')):
            text = ' '.join(self.read(*words).split())
            self.assertIn('HOST [GATE] LIMIT', text)
            self.assertIn('It takes effect at once', text)
