# SPDX-License-Identifier: Apache-2.0

"""The demo's real program, in a process of its own."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys

import fixtures
import testtools

from nova_throttle.demo import options

# Seconds until the program must have ended.
PATIENCE = 240


class DemoTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.scratch = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        eventlet = os.environ.get('OS_NOVA_DISABLE_EVENTLET_PATCHING') == '0'
        self.mode = 'eventlet' if eventlet else 'native'

    def start(self, *options):
        """Start the program; its temporary files are in our directory."""
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova_throttle.demo', *options],
            env={**os.environ, 'TMPDIR': str(self.scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assert_nothing_left(self):
        """Check that no file is left, and no process that had one open."""
        self.assertEqual([], list(self.scratch.iterdir()))
        for each in pathlib.Path('/proc').glob('[0-9]*/environ'):
            try:
                environ = each.read_bytes()
            except OSError:
                continue  # gone, or not ours
            self.assertNotIn(str(self.scratch).encode(), environ)

    def test_limits_hold_and_all_complete(self):
        process = self.start(
            *('--servers', '4', '--sources', '2', '--destinations', '1'),
            *('--limit', '1', '--incoming', '1', '--seconds', '0.2'),
            *('--mode', self.mode),
        )
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual((0, ''), (process.returncode, err), out)
        for name in ('Source limit', 'Destination limit'):
            self.assertRegex(out, f'{name} +1, held at every instant')
        for name in ('Out of source-1', 'Out of source-2', 'Into dest-1'):
            self.assertRegex(
                out,
                f'{name} +at most 1 at once by the migration records, 1 in',
            )
        self.assertRegex(out, 'Completed +4 of 4')
        for number in (1, 2, 3, 4):
            for status in ('queued', 'preparing', 'running', 'completed'):
                self.assertRegex(out, f'server-{number}  {status}')
        self.assertRegex(
            out,
            r'position 1, gate full: destination dest-1 \(1 of 1 in '
            r'progress, position \d\)',
        )
        self.assertRegex(out, r'gates  .*source-\d 1 of 1.* -> dest-1 1 of 1')
        self.assertNotIn('\x1b', out)
        self.assert_nothing_left()

    def test_one_at_a_time_has_the_link(self):
        process = self.start(
            *('--servers', '3', '--sources', '1', '--destinations', '1'),
            *('--limit', '0', '--incoming', '0', '--transfers', '1'),
            *('--seconds', '1', '--mode', self.mode),
        )
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual((0, ''), (process.returncode, err), out)
        self.assertRegex(out, 'Transfer limit +1, held at every instant')
        self.assertRegex(
            out, r'waits .*gate full: transfer-out \(1 of 1 in progress\)'
        )
        self.assertRegex(out, 'Completed +3 of 3')

    def test_the_mode_is_found(self):
        process = self.start('--servers', '1', '--seconds', '0')
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual((0, ''), (process.returncode, err), out)

    def test_native_threads_where_nova_has_none(self):
        if importlib.util.find_spec(options.NATIVE):
            self.skipTest("this Nova's test services have them")
        process = self.start('--mode', 'native')
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(
            "nova-throttle-demo: this Nova's test services run under "
            'eventlet only\n',
            err,
        )
        self.assertEqual((1, ''), (process.returncode, out))

    def _interrupt(self, sign, number):
        """Send a signal when a line is seen."""
        process = self.start(
            *('--servers', '2', '--limit', '1', '--seconds', '600'),
            *('--mode', self.mode),
        )
        for line in process.stdout:
            if sign in line:
                break
        else:
            self.fail(f'{sign} was never seen: {process.stderr.read()}')
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        name = signal.Signals(number).name
        self.assertEqual(f'nova-throttle-demo: ended by {name}\n', err)
        self.assertEqual(128 + number, process.returncode)
        self.assert_nothing_left()

    def test_interrupted_while_a_migration_runs(self):
        self._interrupt('running', signal.SIGINT)

    def test_terminated_while_it_starts(self):
        self._interrupt('Starting API', signal.SIGTERM)
