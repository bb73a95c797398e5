# SPDX-License-Identifier: Apache-2.0

"""The commands about drains, without a Nova that answers."""

import os
import subprocess
import sys

import fixtures
import testtools

from nova_throttle.cmd import drains
from nova_throttle.tests import shell as shell_lib


# Runs the program as where Nova is not installed.
WITHOUT_NOVA = """
import importlib.machinery
import sys

find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, *more: None if name == 'nova' else find(name, *more)
)
from nova_throttle.cmd import cli

sys.argv[0] = 'nova-throttle'
sys.exit(cli.main())
"""


class DrainTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        for name in list(os.environ):
            if name.startswith('OS_') and not name.startswith('OS_NOVA'):
                self.useFixture(fixtures.EnvironmentVariable(name))

    def assert_fails(self, expected_status, expected, *words):
        status, out, err = shell_lib.run('drain', *words)
        self.assertEqual((expected_status, ''), (status, out))
        (line,) = err.splitlines()
        self.assertTrue(line.startswith('nova-throttle'), line)
        self.assertIn(expected, line)

    def test_misuse(self):
        for expected, *more in (
            ('is not drained to itself', '--target', 'src'),
            ('with --wait only', '--deadline', '4h'),
            ('needs --deadline', '--wait', '--at-deadline', 'report'),
            ("not '4 hours'", '--deadline', '4 hours'),
            ("not '0h'", '--deadline', '0h'),
            ("not '0'", '--attempts', '0'),
            ('one line of 1 to 238', '--reason', ' '),
            ('one line of 1 to 238', '--reason', 'x' * 239),
            ("'' is no name of a host", '--target', ''),
        ):
            self.assert_fails(2, expected, 'start', 'src', *more)

    def test_no_way_to_nova(self):
        for expected, environment in (
            ("Nova's API cannot be used: ", {}),
            (
                "Nova's API cannot be used: ",
                {
                    'OS_AUTH_TYPE': 'none',
                    # A port that nobody listens on.
                    'OS_COMPUTE_ENDPOINT_OVERRIDE': 'http://127.0.0.1:1/v2.1',
                },
            ),
        ):
            for name, value in environment.items():
                self.useFixture(fixtures.EnvironmentVariable(name, value))
            self.assert_fails(1, expected, 'start', 'src')

    def test_no_such_cloud(self):
        self.assert_fails(1, 'moon', 'start', 'src', '--os-cloud', 'moon')

    def test_without_the_extra(self):
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.drain.api.openstack', None)
        )
        self.assert_fails(
            1,
            "openstacksdk is not installed: pip install 'nova-throttle[",
            *('start', 'src'),
        )

    def test_on_a_machine_without_nova(self):
        for expected, words in (
            ("nova-throttle: Nova's API cannot be used", 'drain start src'),
            ("nova-throttle: Nova's API cannot be used", 'drain list'),
            (
                'nova-throttle: this needs Nova, which is not installed here',
                'queue list src',
            ),
            (
                'nova-throttle: this needs Nova, which is not installed here',
                'drain pause src',
            ),
        ):
            done = subprocess.run(
                [sys.executable, '-c', WITHOUT_NOVA, *words.split()],
                capture_output=True,
                text=True,
            )
            self.assertEqual((1, ''), (done.returncode, done.stdout))
            (line,) = done.stderr.splitlines()
            self.assertTrue(line.startswith(expected), line)


class MeasuredTestCase(testtools.TestCase):
    def test_what_is_not_known_yet_is_said_so(self):
        for expected, column in (
            ('unknown', drains.Measured(None)),
            ('210.4', drains.Measured(210.4)),
            ('unknown', drains.Duration(None)),
            ('3 min', drains.Duration(200)),
        ):
            self.assertEqual(expected, column.human_readable())
        self.assertIsNone(drains.Measured(None).machine_readable())
