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

"""Who is shown in the table, and how."""

import io

from rich import console
import testtools

from nova_throttle.cmd.stage import report
from nova_throttle.cmd.stage import table


def servers(*statuses):
    return tuple(
        report.Server(f'server-{number}', 'a', 'b', status, position=number)
        for number, status in enumerate(statuses, 1)
    )


class FittingTestCase(testtools.TestCase):
    def test_all_in_their_order(self):
        some = servers('completed', 'running', 'queued')
        self.assertEqual(some, table.fitting(some, 3))

    def test_the_running_and_the_next_in_the_queue_come_first(self):
        some = servers('completed', 'queued', 'queued', 'running')
        self.assertEqual((some[1], some[3]), table.fitting(some, 2))


class DrawTestCase(testtools.TestCase):
    def draw(self, picture, height=30, width=90):
        screen = console.Console(file=io.StringIO(), width=width)
        screen.print(table.draw(picture, height))
        return screen.file.getvalue()

    def test_what_one_waits_for(self):
        waiting = report.Server(
            *('server-1', 'a', 'b', 'queued'),
            position=4,
            waits_for='gate full: source (1 of 1 in progress)',
        )
        drawn = self.draw(
            report.Picture((report.Gate('a', 'source', 1, 1),), (waiting,))
        )
        self.assertIn('4. gate full: source (1 of 1 in progress)', drawn)
        self.assertIn('Gate source of a: 1 of 1 in progress', drawn)

    def test_unlimited(self):
        gate = report.Gate('a', 'source', 0, 5)
        drawn = self.draw(report.Picture((gate,), servers('running')))
        self.assertIn('Gate source of a: 5 (no limit) in progress', drawn)

    def test_only_the_waits_give_way_to_a_narrow_terminal(self):
        waiting = report.Server(
            *('server-1', 'compute-1', 'compute-2', 'queued'),
            position=4,
            waits_for='gate full: source (1 of 1 in progress)',
            waited=12.3,
            took=4.5,
        )
        drawn = self.draw(report.Picture((), (waiting,)), width=80)
        for whole in ('server-1', 'compute-1', 'compute-2', '12.3 s', '4.5 s'):
            self.assertIn(whole, drawn)

    def test_those_that_do_not_fit_are_counted(self):
        some = servers(*['running'] * 2, *['queued'] * 20)
        drawn = self.draw(report.Picture((), some), height=10)
        self.assertIn('19 more queued', drawn)
        self.assertIn('20 queued', drawn)
