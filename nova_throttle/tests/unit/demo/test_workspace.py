# SPDX-License-Identifier: Apache-2.0

"""How the demo ends, and that nothing of it is left: in a real process."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import fixtures
import testtools

BEGIN = """
import os, pathlib, signal, sys, tempfile, threading
# Whoever runs the tests may ignore them, and what it starts does too.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
from nova_throttle.demo import workspace
place = workspace.Workspace()
tempfile.NamedTemporaryFile(delete=False).write(b'a file of Nova')
os.write(1, b'to stdout'), os.write(2, b'to stderr')
"""

PATIENCE = 60


class WorkspaceTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.scratch = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def start(self, code):
        process = subprocess.Popen(
            [sys.executable, '-c', BEGIN + textwrap.dedent(code)],
            env={**os.environ, 'TMPDIR': str(self.scratch)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assert_ends(self, process, status, out='', err='', left=0):
        """Check how it ends; return the files that are left."""
        said = process.communicate(timeout=PATIENCE)
        self.assertEqual((out, err), said)
        self.assertEqual(status, process.returncode)
        files = list(self.scratch.iterdir())
        self.assertEqual(left, len(files), files)
        return files

    def test_what_is_for_the_caller_alone_reaches_it(self):
        process = self.start("print('it', file=place.out, flush=True)\n")
        process.wait(PATIENCE)
        self.assertEqual('it\n', process.stdout.read())

    def test_leave(self):
        self.assert_ends(self.start('place.leave()'), 0)

    def test_leave_although_a_thread_runs(self):
        process = self.start("""
            threading.Thread(target=threading.Event().wait).start()
            place.leave(3, 'why')
        """)
        self.assert_ends(process, 3, err='nova-throttle-demo: why\n')

    def test_leave_although_a_thread_makes_the_directory_again(self):
        process = self.start("""
            rename = pathlib.Path.rename
            def interfere(path, target):
                gone = rename(path, target)
                path.mkdir()
                return gone
            pathlib.Path.rename = interfere
            place.leave()
        """)
        self.assert_ends(process, 0)

    def test_the_log_of_a_failure_is_kept(self):
        process = self.start("place.fail('why')")
        process.wait(PATIENCE)
        (log,) = self.scratch.iterdir()
        self.assertIn('to stdoutto stderr', log.read_text())
        self.assert_ends(
            process,
            1,
            err=f"nova-throttle-demo: why; Nova's log is {log}\n",
            left=1,
        )

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start("""
                print('ready', file=place.out, flush=True)
                threading.Event().wait()
            """)
            self.assertEqual('ready\n', process.stdout.readline())
            process.send_signal(number)
            self.assert_ends(
                process,
                128 + number,
                err=f'nova-throttle-demo: ended by {number.name}\n',
            )

    def test_a_reader_that_has_gone(self):
        process = self.start("""
            sys.stdin.read()
            print('something', file=place.out, flush=True)
            threading.Event().wait()
        """)
        process.stdout.close()
        process.stdout = None
        self.assert_ends(process, 128 + signal.SIGPIPE, out=None)
