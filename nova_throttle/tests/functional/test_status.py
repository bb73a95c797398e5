# SPDX-License-Identifier: Apache-2.0

"""Whoever upgrades is told what he has to know, and disturbs nobody."""

import pathlib
import subprocess
import sys

import fixtures
from oslo_upgradecheck import upgradecheck
import testtools

from nova_throttle.cmd import checks
from nova_throttle import overrides
from nova_throttle.tests.functional import base

Code = upgradecheck.Code


class PeersTestCase(base.ThrottleTestCase):
    def check(self):
        return checks.Checks()._check_peers()

    def test_all_run_us(self):
        found = self.check()
        self.assertEqual((Code.SUCCESS, None), (found.code, found.details))

    def test_a_host_without_us(self):
        overrides.uninstall()
        # Before the base class looks for throttles.
        self.addCleanup(self.computes.pop, 'plain')
        self.start_compute(hostname='plain')
        found = self.check()
        self.assertEqual(Code.WARNING, found.code)
        self.assertEqual('plain: nova-throttle is not active', found.details)

    def test_a_host_with_an_older_interface(self):
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.rpcapi.VERSION', '2.99')
        )
        found = self.check()
        self.assertEqual(Code.WARNING, found.code)
        self.assertIn('dest, src: version 2.', found.details)
        self.assertIn('not 2.99', found.details)

    def test_a_host_that_does_not_answer(self):
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.cmd.checks.TIMEOUT', 1.0)
        )
        self.computes['dest'].rpcserver.stop()
        found = self.check()
        self.assertEqual(Code.WARNING, found.code)
        self.assertIn('dest: host dest did not answer', found.details)

    def test_nobody_knows_the_hosts(self):
        def fail():
            raise RuntimeError('the database is away')

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.cmd.checks._hosts_that_are_up', fail
            )
        )
        found = self.check()
        self.assertEqual(Code.WARNING, found.code)
        self.assertIn('the database is away', found.details)


def _run(folder, options, *words):
    """Run the program with more lines of configuration."""
    path = pathlib.Path(folder, 'status.conf')
    path.write_text(f'[DEFAULT]\ntransport_url = fake:/\n{options}')
    return subprocess.run(
        [
            *(sys.executable, '-m', 'nova_throttle.cmd.status'),
            *('--config-file', str(path)),
            *(words or ('upgrade', 'check')),
        ],
        capture_output=True,
        text=True,
        timeout=base.PATIENCE * 2,
    )


class ProgramTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.useFixture(fixtures.TempDir()).path

    def run_it(self, options):
        return _run(
            self.folder,
            f'host = host1\nstate_path = {self.folder}\n'
            f'[nova_throttle]\nenabled = true\n{options}',
        )

    def test_nothing_is_wrong_but_that_nobody_answers(self):
        done = self.run_it('')
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertEqual(5, done.stdout.count('Result: Success'))
        self.assertIn('the hosts of this cell are not known', done.stdout)
        self.assertEqual(['status.conf'], _names(self.folder))

    def test_an_invalid_option(self):
        done = self.run_it('housekeeping_interval = -1\n')
        self.assertEqual(2, done.returncode, done.stdout + done.stderr)
        self.assertIn('housekeeping_interval', done.stdout)

    def test_no_configuration(self):
        path = f'{self.folder}/nowhere.conf'
        done = _run(self.folder, '', '--config-file', path, 'upgrade', 'check')
        self.assertEqual(255, done.returncode)
        (line,) = done.stderr.splitlines()
        self.assertIn(path, line)


class RunningTestCase(base.ThrottleTestCase):
    def test_a_nova_compute_that_runs_is_not_disturbed(self):
        journal = self.src.manager._parts.journal
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        folder = self.useFixture(fixtures.TempDir()).path
        done = _run(
            folder,
            'host = src\n[nova_throttle]\nenabled = true\n'
            f'journal_dir = {journal._files.directory}\n',
        )
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertEqual(5, done.stdout.count('Result: Success'))
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: journal.entries() == [])
        self.assertTrue(journal.durable)


def _names(folder):
    return sorted(path.name for path in pathlib.Path(folder).iterdir())
