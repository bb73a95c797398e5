# SPDX-License-Identifier: Apache-2.0

"""The real nova-compute program gets its throttle, or says why not.

Each test runs nova-compute's own main() in a child process and reads its log.
"""

import os
import pathlib
import subprocess
import sys

import fixtures
import testtools

from nova_throttle.tests.functional import base

_CHILD = pathlib.Path(__file__).with_name('nova_compute.py')

_NOVA_CONF = """
[DEFAULT]
host = host1
compute_driver = {driver}
transport_url = fake:/
state_path = {path}
log_file = {path}/nova-compute.log
concurrency_backend = {backend}
[oslo_concurrency]
lock_path = {path}
"""

ENABLED = '[nova_throttle]\nenabled = true\n'
ACTIVE = 'nova-throttle is active'
MADE = 'manager: '
PLAIN = 'manager: nova.compute.manager.ComputeManager'
OURS = 'manager: nova_throttle.compute.manager.ThrottledComputeManager'


class ActivationTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        native = os.environ.get('OS_NOVA_DISABLE_EVENTLET_PATCHING') == '1'
        self.backend = 'threading' if native else 'eventlet'

    def start(self, options='', *args, driver='fake.FakeDriver'):
        """Start nova-compute with more lines of configuration."""
        conf = self.path / 'nova.conf'
        conf.write_text(
            _NOVA_CONF.format(
                path=self.path, backend=self.backend, driver=driver
            )
            + options
        )
        # In the place of what the machine may have in /etc/nova.
        empty = self.path / 'conf.d'
        empty.mkdir(exist_ok=True)
        files = ('--config-file', str(conf), '--config-dir', str(empty))
        environment = dict(os.environ)
        environment.pop('OS_NOVA_DISABLE_EVENTLET_PATCHING', None)
        child = subprocess.Popen(
            [sys.executable, str(_CHILD), *files, *args],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(self._end, child)
        return child

    def _end(self, child):
        if child.poll() is None:
            child.kill()
        child.wait(base.PATIENCE)
        child.stdout.close()

    @property
    def log(self):
        path = self.path / 'nova-compute.log'
        return path.read_text() if path.exists() else ''

    def assert_starts(self, child, *texts):
        """Check that it starts and that its log has these texts."""
        out, _ = child.communicate(timeout=base.PATIENCE)
        self.assertEqual(0, child.returncode, out + self.log)
        for text in texts:
            self.assertIn(text, self.log)

    def lines(self, text):
        return [line for line in self.log.splitlines() if text in line]

    def assert_stops(self, child, *words, own=True):
        """Check that it stops with one clear line that has these words."""
        out, _ = child.communicate(timeout=base.PATIENCE)
        self.assertNotEqual(0, child.returncode)
        (line,) = self.lines('CRITICAL')
        for word in words:
            self.assertIn(word, line)
        self.assertNotIn(MADE, self.log)
        if own:
            self.assertNotIn('Traceback', self.log + out)

    def test_enabled(self):
        self.assert_starts(self.start(ENABLED), OURS)
        (line,) = self.lines(ACTIVE)
        self.assertIn('INFO', line)
        limits = 'at most 1 outgoing and at most 2 incoming live migrations'
        self.assertIn(limits, line)
        self.assertNotIn('link', line)
        native = self.backend == 'threading'
        self.assertIn('native threads' if native else 'eventlet', line)
        self.assertIn('driver: nova.virt.fake.FakeDriver', self.log)

    def test_enabled_unlimited(self):
        options = '[DEFAULT]\nmax_concurrent_live_migrations = 0\n'
        self.assert_starts(
            self.start(ENABLED + options), 'any number of outgoing'
        )

    def test_not_enabled_leaves_nova_untouched(self):
        for options in ('', '[nova_throttle]\nenabled = false\n'):
            self.assert_starts(self.start(options), PLAIN)
        self.assertEqual([], self.lines(ACTIVE))

    def test_nova_compute_s_own_report_has_our_section(self):
        """On the signal that makes it in every release, at its stderr."""
        child = self.start(ENABLED, '--report')
        out, _ = child.communicate(timeout=base.PATIENCE)
        self.assertEqual(0, child.returncode, out + self.log)
        _, found, ours = out.partition('nova-throttle on host1')
        self.assertTrue(found, out)
        for text in (
            *('Gates', '  source: 1 slots, 0 offered', 'Queue (0)'),
            *('Migrations that are not over', 'Journal', 'Threads'),
        ):
            self.assertIn(text, ours)

    def test_unknown_nova(self):
        child = self.start(ENABLED, '--nova-version=99.1.0')
        self.assert_stops(child, 'Nova 99.1.0', 'allow_untested_nova')

    def test_unknown_nova_allowed(self):
        child = self.start(
            ENABLED + 'allow_untested_nova = true\n', '--nova-version=99.1.0'
        )
        self.assert_starts(child, OURS)
        (line,) = self.lines('never tested with Nova 99.1.0')
        self.assertIn('WARNING', line)

    def test_a_manager_of_somebody_else(self):
        child = self.start(ENABLED, '--manager=other.Manager')
        self.assert_stops(child, 'nova-compute', 'other.Manager')

    def test_invalid_enabled(self):
        child = self.start('[nova_throttle]\nenabled = perhaps\n')
        self.assert_stops(child, '[nova_throttle] enabled', 'perhaps')

    def test_invalid_housekeeping_interval(self):
        child = self.start(ENABLED + 'housekeeping_interval = -1\n')
        self.assert_stops(child, '[nova_throttle] housekeeping_interval')

    def test_invalid_allow_untested_nova(self):
        child = self.start(ENABLED + 'allow_untested_nova = 7\n')
        self.assert_stops(child, '[nova_throttle] allow_untested_nova', '7')

    def test_metrics_bind(self):
        child = self.start(ENABLED + 'metrics_bind = nowhere\n')
        self.assert_stops(child, '[nova_throttle] metrics_bind', '[::]:9979')
        self.start_anew()
        child = self.start(ENABLED + 'metrics_bind = 192.0.2.1:9979\n')
        self.assert_stops(
            *(child, '[nova_throttle] metrics_bind', '192.0.2.1:9979')
        )
        self.start_anew()
        # It ends although it serves.
        child = self.start(ENABLED + 'metrics_bind = [::1]:0\n')
        self.assert_starts(child, 'Metrics are served at ::1')

    def test_options_without_a_value(self):
        """oslo.config takes an empty number for none."""
        ours = (
            'max_incoming_live_migrations',
            'housekeeping_interval',
            'journal_dir',
            'on_restart',
        )
        for name in ours:
            child = self.start(ENABLED + f'{name} =\n')
            self.assert_stops(child, f'[nova_throttle] {name}')
            self.start_anew()
        child = self.start(
            '[DEFAULT]\nmax_concurrent_live_migrations =\n' + ENABLED
        )
        own = self.backend == 'eventlet'
        self.assert_stops(child, 'max_concurrent_live_migrations', own=own)

    def start_anew(self):
        (self.path / 'nova-compute.log').unlink()

    def test_what_is_meant_for_us_and_has_no_effect_is_said(self):
        for options, words in (
            ('[nova-throttle]\nenabled = true\n', '[nova-throttle]'),
            ('[nova_throtle]\nenabled = true\n', '[nova_throtle]'),
            ('[DEFAULT]\nenabled = true\n', '[DEFAULT] enabled'),
            (
                '[libvirt]\nmax_incoming_live_migrations = 3\n',
                '[libvirt] max_incoming_live_migrations',
            ),
            (
                '[nova_throttle]\nenable = true\n',
                '[nova_throttle] enable has no effect: perhaps enabled',
            ),
        ):
            self.assert_starts(self.start(options), PLAIN)
            (line,) = self.lines('has no effect')
            self.assertIn('WARNING', line)
            self.assertIn(words, line)
            self.start_anew()

    def test_what_others_call_as_we_do_is_not_said(self):
        options = '[vnc]\nenabled = false\n[my_plugin]\nenabled = true\n'
        self.assert_starts(self.start(ENABLED + options), OURS)
        self.assertEqual([], self.lines('has no effect'))

    def test_negative_limit(self):
        options = '[DEFAULT]\nmax_concurrent_live_migrations = -1\n'
        child = self.start(ENABLED + options)
        # On native threads Nova itself reads, and refuses, it before us.
        own = self.backend == 'eventlet'
        self.assert_stops(child, 'max_concurrent_live_migrations', own=own)
