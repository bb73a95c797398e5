# SPDX-License-Identifier: Apache-2.0

"""What the demo says to options and to a missing package."""

import contextlib
import io
import sys
from unittest import mock

import testtools

from nova_throttle.demo import options


class OptionsTestCase(testtools.TestCase):
    def parse(self, *arguments, native=True):
        """Return the options, or the exit status, and what was said."""
        err = io.StringIO()
        installed = {options.NATIVE: native or None}
        with (
            mock.patch.object(sys, 'argv', [options.PROG, *arguments]),
            mock.patch('importlib.util.find_spec', self._find(installed)),
            contextlib.redirect_stderr(err),
        ):
            try:
                return options.parse(), err.getvalue()
            except SystemExit as stop:
                return stop.code, err.getvalue()

    def _find(self, installed):
        return lambda name: installed.get(name, name != 'no_such_package')

    def assert_refused(self, *arguments, because):
        status, said = self.parse(*arguments)
        self.assertEqual(2, status)
        self.assertIn(because, said)
        self.assertEqual(1, said.count('\n'), said)

    def test_defaults(self):
        expected = options.Options(
            servers=9,
            sources=3,
            destinations=2,
            limit=2,
            incoming=2,
            transfers=0,
            seconds=2.0,
            mode='native',
        )
        self.assertEqual((expected, ''), self.parse())

    def test_too_few_or_too_many(self):
        for name, least, most in (
            ('servers', 1, 999),
            ('sources', 1, 5),
            ('destinations', 1, 5),
            ('limit', 0, 999),
            ('incoming', 0, 999),
            ('seconds', 0, 3600),
        ):
            because = f'--{name}: not from {least} to {most}'
            for value in (least - 1, most + 1):
                self.assert_refused(f'--{name}={value}', because=because)
            for value in (least, most):
                wanted, _ = self.parse(f'--{name}={value}')
                self.assertEqual(value, getattr(wanted, name))

    def test_no_numbers(self):
        self.assert_refused('--servers', 'many', because="'many'")
        self.assert_refused('--limit', '1.5', because="'1.5'")
        self.assert_refused('--seconds', 'soon', because="'soon'")
        for value in ('inf', 'nan'):
            self.assert_refused('--seconds', value, because='to 3600')

    def test_unknown_mode(self):
        self.assert_refused('--mode', 'fast', because="'fast'")

    def test_unknown_option(self):
        self.assert_refused('--server', '3', because='--server')

    def test_missing_package(self):
        with mock.patch.object(options, 'NEEDED', ('no_such_package',)):
            status, said = self.parse()
        self.assertEqual(1, status)
        self.assertEqual(
            'nova-throttle-demo: no_such_package is missing: '
            "run: pip install 'nova-throttle[demo]'\n",
            said,
        )

    def test_eventlet_where_nova_has_no_native_threads(self):
        wanted, _ = self.parse(native=False)
        self.assertEqual('eventlet', wanted.mode)

    def test_native_threads_where_nova_has_none(self):
        self.assertEqual(
            (
                1,
                "nova-throttle-demo: this Nova's test services run under "
                'eventlet only\n',
            ),
            self.parse('--mode', 'native', native=False),
        )

    def test_the_mode_that_is_asked_for(self):
        for mode in ('native', 'eventlet'):
            wanted, _ = self.parse('--mode', mode)
            self.assertEqual(mode, wanted.mode)
