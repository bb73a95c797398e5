# SPDX-License-Identifier: Apache-2.0

"""A nova-compute of another Python is found, whatever its first line says."""

import pathlib
import sys

import fixtures
import testtools

from nova_throttle.cmd import interpreter


class InterpreterTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.python = self.make('ours/python3')
        self.patch(sys, 'executable', str(self.python))

    def make(self, name, text=''):
        place = self.path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        place.chmod(0o755)
        return place

    def have(self, first_line):
        """Have a nova-compute in the path, with this as its first line."""
        program = self.make('bin/nova-compute', f'{first_line}\nimport re\n')
        folders = f'{program.parent}:{self.path}/other'
        self.useFixture(fixtures.EnvironmentVariable('PATH', folders))

    def assert_none(self):
        self.assertEqual([], list(interpreter.problems()))

    def assert_problem(self, *words):
        (problem,) = interpreter.problems()
        for word in words:
            self.assertIn(word, problem)

    def test_beside_us(self):
        self.have('#!/usr/bin/python9')
        self.make('ours/nova-compute')
        self.assert_none()

    def test_with_our_interpreter(self):
        self.have(f'#! {self.python.parent}/python3.9 -s')
        self.assert_none()

    def test_with_a_link_to_our_folder(self):
        (self.path / 'link').symlink_to(self.python.parent)
        self.have(f'#!{self.path}/link/python3')
        self.assert_none()

    def test_with_another_interpreter(self):
        other = self.make('other/python3')
        for line in (f'#!{other}', '#!/usr/bin/env python3'):
            self.have(line)
            self.assert_problem(f'bin/nova-compute runs {other}', 'install')

    def test_no_script(self):
        self.have('\x7fELF')
        self.assert_none()

    def test_nowhere(self):
        self.useFixture(fixtures.EnvironmentVariable('PATH', str(self.path)))
        self.assert_problem('there is no nova-compute', str(self.python))

    def test_files_without_metadata(self):
        self.make('ours/nova-compute')
        self.patch(interpreter, 'NAME', 'nova_throttle_of_nobody')
        self.assert_problem('install the package')
