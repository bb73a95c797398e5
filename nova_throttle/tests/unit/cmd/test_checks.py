# SPDX-License-Identifier: Apache-2.0

"""Each check says what is wrong in words, and what that means by its code."""

import os
import pathlib

import fixtures
from nova.compute import manager as nova_manager
import nova.conf
from nova import version
from oslo_upgradecheck import upgradecheck
import testtools

from nova_throttle.cmd import checks
from nova_throttle.cmd import interpreter
from nova_throttle import conf as throttle_conf
from nova_throttle.journal import files
from nova_throttle.journal import journal as journal_lib

CONF = nova.conf.CONF
Code = upgradecheck.Code


class ChecksTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        throttle_conf.register_opts(CONF)
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.set('journal_dir', str(self.path / 'journals'))
        self.set('enabled', True)
        CONF.set_override('host', 'host1')
        self.addCleanup(CONF.clear_override, 'host')
        self.checks = checks.Checks()

    def set(self, name, value, group='nova_throttle'):
        CONF.set_override(name, value, group)
        self.addCleanup(CONF.clear_override, name, group)

    def assert_found(self, code, found, *words):
        self.assertEqual(code, found.code, found.details)
        for word in words:
            self.assertIn(word, found.details)
        if not words:
            self.assertIsNone(found.details)

    def test_release(self):
        self.assert_found(Code.SUCCESS, self.checks._check_release())
        self.patch(version, 'version_string', lambda: '99.0.0')
        self.assert_found(
            Code.FAILURE, self.checks._check_release(), 'Nova 99.0.0'
        )
        self.set('allow_untested_nova', True)
        self.assert_found(
            Code.WARNING, self.checks._check_release(), 'Nova 99.0.0'
        )

    def test_names(self):
        self.assert_found(Code.SUCCESS, self.checks._check_interface())
        self.patch(
            nova_manager.ComputeManager, 'reset', lambda self, why: None
        )
        self.assert_found(
            Code.FAILURE,
            self.checks._check_interface(),
            'ComputeManager.reset',
        )

    def test_options(self):
        self.assert_found(Code.SUCCESS, self.checks._check_options())
        self.set('enabled', False)
        self.assert_found(
            Code.WARNING, self.checks._check_options(), 'enabled is false'
        )

    def test_options_without_effect(self):
        conf = self.path / 'nova.conf'
        conf.write_text('[nova-throttle]\nenabled = true\n')
        self.patch(checks.CONF, 'config_file', [str(conf)])
        self.assert_found(
            Code.WARNING,
            self.checks._check_options(),
            'section [nova-throttle] has no effect',
        )

    def test_journal_yet_to_be_made(self):
        self.assert_found(Code.SUCCESS, self.checks._check_journal())
        self.assertEqual([], list(self.path.iterdir()))

    def make(self):
        journal = journal_lib.Journal(CONF.nova_throttle.journal_dir, 'host1')
        journal.open()
        journal.close()
        return pathlib.Path(journal._files.path)

    def test_journal_is_there(self):
        path = self.make()
        before = path.read_bytes(), path.stat().st_mtime_ns
        self.assert_found(Code.SUCCESS, self.checks._check_journal())
        self.assertEqual(before, (path.read_bytes(), path.stat().st_mtime_ns))

    def test_journal_is_damaged(self):
        path = self.make()
        path.write_bytes(b'x' * 1000)
        self.assert_found(
            Code.WARNING, self.checks._check_journal(), str(path), 'damaged'
        )
        self.assertEqual(b'x' * 1000, path.read_bytes())

    def test_journal_of_a_newer_version(self):
        path = self.make()
        self.patch(files, '_state_by_header', lambda _: files.State.NEWER)
        self.assert_found(
            Code.FAILURE, self.checks._check_journal(), str(path), 'newer'
        )

    def test_journal_can_not_be_written(self):
        self.make()
        self.patch(os, 'access', lambda *args: False)
        self.assert_found(
            Code.FAILURE, self.checks._check_journal(), 'cannot be'
        )

    def test_journal_of_somebody_else(self):
        self.make()
        self.patch(os, 'geteuid', lambda: 4711)
        self.assert_found(
            Code.WARNING, self.checks._check_journal(), 'belongs to user'
        )

    def test_journal_yet_to_be_made_by_somebody_else(self):
        # A group may let nova-compute make it.
        self.patch(os, 'geteuid', lambda: 4711)
        self.assert_found(Code.SUCCESS, self.checks._check_journal())

    def test_root_is_not_whom_nova_compute_runs_as(self):
        if os.geteuid():
            self.skipTest('needs root, to give something away')
        os.chown(self.path, 4711, -1)
        self.assert_found(
            Code.WARNING, self.checks._check_journal(), 'belongs to user 4711'
        )

    def test_python(self):
        self.assert_found(Code.SUCCESS, self.checks._check_python())
        self.patch(
            interpreter, 'problems', lambda: ['there is no nova-compute']
        )
        self.assert_found(
            Code.FAILURE, self.checks._check_python(), 'no nova-compute'
        )
