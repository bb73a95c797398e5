# SPDX-License-Identifier: Apache-2.0

"""The manual has each command and each option, and no other."""

import pathlib
import re

import fixtures
import testtools

from nova_throttle.cmd import shell
from nova_throttle.demo import options
from nova_throttle.tests import shell as shell_lib

PAGES = pathlib.Path(__file__).parents[4] / 'doc' / 'source' / 'cli'

OPTION = re.compile(r'--[a-z][a-z-]+')

# Those that cliff gives to each command that prints a table.
FORMATS = {
    '--column',
    '--fit-width',
    '--format',
    '--max-width',
    '--noindent',
    '--prefix',
    '--print-empty',
    '--quote',
    '--sort-ascending',
    '--sort-column',
    '--sort-descending',
}


def _named(text):
    return set(OPTION.findall(text))


class ManualTestCase(testtools.TestCase):
    def test_commands(self):
        # argparse breaks lines in the middle of an option.
        self.useFixture(fixtures.EnvironmentVariable('COLUMNS', '999'))
        page = (PAGES / 'nova-throttle.rst').read_text()
        found = _named(shell_lib.run('--help').out)
        for command in shell.COMMANDS:
            self.assertRegex(page, f'\n``{command}[ `]')
            found |= _named(shell_lib.run(*command.split(), '--help').out)
        self.assertEqual(found - FORMATS, _named(page))

    def test_demo(self):
        page = (PAGES / 'nova-throttle-demo.rst').read_text()
        usage = options._parser().format_help()
        self.assertEqual(_named(usage) - {'--help'}, _named(page))

    def test_completion(self):
        found = shell_lib.run('complete')
        self.assertEqual(0, found.status, found.err)
        for command in shell.COMMANDS:
            self.assertIn(f' cmds_{command.replace(" ", "_")}=', found.out)
        self.assertIn('complete -F _nova_throttle nova-throttle', found.out)
