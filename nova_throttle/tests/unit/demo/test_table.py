# SPDX-License-Identifier: Apache-2.0

"""Who is shown in the table, and how."""

import io
import time

from rich import console
import testtools

from nova_throttle.admission import snapshot
from nova_throttle.demo import records
from nova_throttle.demo import report
from nova_throttle.demo import table
from nova_throttle.screen import table as table_lib


FULL = snapshot.WaitReason.GATE_FULL
WAITS = (
    snapshot.Wait(FULL, 'destination', 2, ('m1', 'm2'), 'b', 3),
    snapshot.Wait(FULL, 'source', 1, ('m3',)),
)


def servers(*statuses):
    return tuple(
        records.Server(
            *(f'uuid-{number}', f'server-{number}', 'a', 'b', status),
            position=number,
        )
        for number, status in enumerate(statuses, 1)
    )


class DrawTestCase(testtools.TestCase):
    def draw(self, *servers, gates=None, width=120, **options):
        screen = console.Console(file=io.StringIO(), width=width)
        picture = report.Picture(gates or {}, servers, **options)
        screen.print(table.draw(picture))
        return [
            ' '.join(line.split())
            for line in screen.file.getvalue().splitlines()
        ]

    def test_who_matters_most_comes_first(self):
        drawn = self.draw(
            *servers('completed', 'asked', 'queued', 'queued', 'running')
        )
        names = [line.split()[0] for line in drawn if 'server-' in line]
        self.assertEqual(
            ['server-5', 'server-3', 'server-4', 'server-2', 'server-1'],
            names,
        )

    def test_each_status_is_counted(self):
        drawn = self.draw(*servers(*['running'] * 2, *['queued'] * 20))
        self.assertIn('2 running 20 queued', drawn)

    def test_how_much_of_a_guest_has_moved(self):
        moving = records.Server(
            *('uuid', 'server-1', 'a', 'b', 'running'), share=0.456
        )
        (line,) = [each for each in self.draw(moving) if 'server-1' in each]
        self.assertIn('running 46%', line)

    def test_what_one_waits_for(self):
        waiting = records.Server(
            *('uuid', 'server-1', 'a', 'b', 'queued'),
            position=4,
            waits_for=WAITS,
        )
        (line,) = [each for each in self.draw(waiting) if 'server-1' in each]
        self.assertIn(
            '4. gate full: destination b (2 of 2 in progress, position 3)',
            line,
        )

    def test_gates(self):
        drawn = self.draw(
            gates={
                'a': {'source': '1 of 2'},
                'b': {'destination': '1 of 3 (2 offered)'},
            }
        )
        self.assertIn('Gates Source Destination', drawn)
        self.assertIn('a 1 of 2', drawn)
        self.assertIn('b 1 of 3 (2 offered)', drawn)

    def test_gates_of_the_link_that_are_limited(self):
        gates = {'a': {'source': '3 of 4', 'transfer-out': '1 of 1'}}
        drawn = self.draw(gates=gates, limits_transfers=True)
        self.assertIn(
            'Gates Source Destination Transfer-out Transfer-in', drawn
        )
        self.assertIn('a 3 of 4 1 of 1', drawn)

    def test_what_is_prepared_comes_before_what_prepares(self):
        drawn = self.draw(*servers('preparing', 'prepared', 'finishing'))
        names = [line.split()[0] for line in drawn if 'server-' in line]
        self.assertEqual(['server-3', 'server-2', 'server-1'], names)

    def test_only_the_waits_give_way_to_a_narrow_terminal(self):
        now = time.monotonic()
        waiting = records.Server(
            *('uuid', 'server-1', 'compute-1', 'compute-2', 'queued'),
            at={'queued': now - 20, 'preparing': now - 7.7, 'failed': now},
            position=4,
            waits_for=WAITS,
        )
        drawn = '\n'.join(self.draw(waiting, width=80))
        for whole in ('server-1', 'compute-1', 'compute-2', '12.3 s', '7.7 s'):
            self.assertIn(whole, drawn)


class TableTestCase(testtools.TestCase):
    def test_what_is_told_stays(self):
        stream = io.StringIO()
        with table_lib.Table(stream, table.draw) as screen:
            print('what Nova writes')
            screen.say('Booting [2]')
            screen.picture(report.Picture({}, servers('queued')))
            screen.picture(report.Picture({}, servers('completed')))
        self.assertIn('Booting [2]', stream.getvalue())
        self.assertIn('1 completed', stream.getvalue())
        self.assertNotIn('Nova', stream.getvalue())
