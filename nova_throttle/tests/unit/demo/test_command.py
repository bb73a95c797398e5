# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What the demo says to options and to a missing package."""

import contextlib
import io
import sys
from unittest import mock

import fixtures
import testtools

from nova_throttle.demo import child
from nova_throttle.demo import command


class CommandTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        # Nothing may be started here.
        self.useFixture(
            fixtures.MockPatchObject(
                child, 'Child', side_effect=AssertionError('started')
            )
        )

    def run_with(self, *options):
        """Return the exit status and what was said on stderr."""
        err = io.StringIO()
        argv = ['nova-throttle-demo', *options]
        with (
            mock.patch.object(sys, 'argv', argv),
            contextlib.redirect_stderr(err),
        ):
            try:
                return command.run(), err.getvalue()
            except SystemExit as stop:
                return stop.code, err.getvalue()

    def assert_refused(self, *options, because):
        status, said = self.run_with(*options)
        self.assertEqual(2, status)
        self.assertIn(because, said)
        self.assertEqual(1, said.count('\n'), said)

    def test_no_servers(self):
        self.assert_refused('--servers', '0', because="1, not '0'")

    def test_servers_is_no_number(self):
        self.assert_refused('--servers', 'many', because="not 'many'")

    def test_negative_limit(self):
        self.assert_refused('--limit', '-1', because="0, not '-1'")

    def test_limit_is_no_whole_number(self):
        self.assert_refused('--limit', '1.5', because="not '1.5'")

    def test_a_host_too_many_or_too_few(self):
        for name in ('--sources', '--destinations'):
            self.assert_refused(name, '0', because="1, not '0'")
            self.assert_refused(name, '6', because="at most 5, not '6'")

    def test_negative_incoming_limit(self):
        self.assert_refused('--incoming', '-1', because="0, not '-1'")

    def test_negative_seconds(self):
        self.assert_refused('--seconds', '-1', because="not '-1'")

    def test_seconds_without_end(self):
        for value in ('inf', 'nan', 'soon'):
            self.assert_refused('--seconds', value, because=f"not '{value}'")

    def test_unknown_mode(self):
        self.assert_refused('--mode', 'fast', because="'fast'")

    def test_unknown_option(self):
        self.assert_refused('--server', '3', because='--server')

    def test_missing_package(self):
        with mock.patch.object(command, 'NEEDED', ('no_such_package',)):
            status, said = self.run_with()
        self.assertEqual(1, status)
        self.assertEqual(
            'nova-throttle-demo: no_such_package is missing: '
            "run: pip install 'nova-throttle[demo]'\n",
            said,
        )
