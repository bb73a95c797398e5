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

from nova_throttle.admission import snapshot
from nova_throttle.demo import report
from nova_throttle.demo import table


FULL = snapshot.WaitReason.GATE_FULL
WAITS = (
    snapshot.Wait(FULL, 'destination', 2, ('m1', 'm2'), 'b', 3),
    snapshot.Wait(FULL, 'source', 1, ('m3',)),
)


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
            waits_for=WAITS,
        )
        drawn = self.draw(report.Picture((), (waiting,)))
        self.assertIn('4. b full, position 3; a full', drawn)

    def test_another_reason(self):
        wait = snapshot.Wait(
            snapshot.WaitReason.SILENT, 'destination', host='b'
        )
        waiting = report.Server(
            *('server-1', 'a', 'b', 'queued'), position=1, waits_for=(wait,)
        )
        drawn = self.draw(report.Picture((), (waiting,)))
        self.assertIn('1. b: destination does not answer', drawn)

    def test_gates(self):
        gates = (
            report.Gate('a', 'source', 2, 1),
            report.Gate('a', 'destination', 0, 0),
            report.Gate('b', 'source', 2, 0),
            report.Gate('b', 'destination', 3, 1, offered=2, waiting=4),
        )
        drawn = self.draw(report.Picture(gates, servers('running')))
        lines = [' '.join(line.split()) for line in drawn.splitlines()]
        self.assertIn('Gates Source Destination', lines)
        self.assertIn('a 1 of 2 0 of unlimited', lines)
        self.assertIn('b 0 of 2 1 of 3 (2 offered, 4 waiting)', lines)

    def test_only_the_waits_give_way_to_a_narrow_terminal(self):
        waiting = report.Server(
            *('server-1', 'compute-1', 'compute-2', 'queued'),
            position=4,
            waits_for=WAITS,
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
