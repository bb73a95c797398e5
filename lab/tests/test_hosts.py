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

"""What belongs to a host is found by its namespace."""

import os
import pathlib
import unittest
from unittest import mock

from labkit import hosts
from labkit.plan import Plan


class ProcessesTestCase(unittest.TestCase):
    """This process and its parent are a host; process 1 is the parent."""

    def setUp(self):
        patch = mock.patch.object(
            hosts, 'holder', autospec=True, return_value=os.getppid()
        )
        patch.start()
        self.addCleanup(patch.stop)
        self.plan = Plan(pathlib.Path('/nowhere'))

    def find(self, *words):
        return hosts.processes(self.plan, 'compute1', *words)

    def test_by_a_word_of_the_command(self):
        command = pathlib.Path('/proc/self/cmdline').read_text()
        self.assertIn(os.getpid(), self.find(command))
        self.assertNotIn(os.getpid(), self.find(f'no {command}'))

    def test_process_1_is_none_of_its_services(self):
        """Its command has the names of their directories."""
        self.assertNotIn(os.getppid(), self.find(''))
