# SPDX-License-Identifier: Apache-2.0

"""What is shown of a drain while it lasts."""

import io

from rich import console
import testtools

from nova_throttle.drain import drain
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import table
from nova_throttle.drain import view
from nova_throttle.tests.unit.drain import base

MIB = 1 << 20


def picture(*notes, queued=1):
    names = [f'q{number}' for number in range(queued)]
    facts = base.host(
        *map(base.server, ['b', 'c', *names]),
        moved=(base.server('a'),),
        migrations=(
            base.migration('a', 'completed', 1, begin=-2, end=-1),
            base.migration('b', 'running', 2, begin=-2),
            base.migration('c', 'preparing', 3, begin=-2),
            *(
                base.migration(name, 'queued', 4 + number, begin=-2)
                for number, name in enumerate(names)
            ),
        ),
        transfers={2: facts_lib.Transfer(1024 * MIB, 256 * MIB)},
    )
    return drain.Picture('src', facts, base.measure(facts), notes)


class LinesTestCase(testtools.TestCase):
    def test_what_has_changed(self):
        stream = io.StringIO()
        lines = view.Lines(stream)
        lines.picture(picture('[a] failed: no'))
        lines.picture(picture())
        first, second = (
            line.strip().split('  ', 1)[1]
            for line in stream.getvalue().splitlines()
        )
        self.assertEqual('[a] failed: no', first)
        self.assertEqual(
            '1 moved, 1 on the wire, 1 preparing, 1 queued, 0 failed, 3 left; '
            '2.2 GiB left to move at 15 MiB/s, done in about 3 min',
            second,
        )


class TableTestCase(testtools.TestCase):
    def draw(self, shown):
        screen = console.Console(file=io.StringIO(), width=100)
        screen.print(table.draw(shown))
        return [
            ' '.join(line.split())
            for line in screen.file.getvalue().splitlines()
        ]

    def test_what_moves_comes_first(self):
        drawn = self.draw(picture('[a] failed: no'))
        self.assertIn('[a] failed: no', drawn)
        rows = [line for line in drawn if 'ACTIVE' in line]
        self.assertEqual(
            [
                'b ACTIVE dest running 75 %',
                'c ACTIVE dest preparing',
                'q0 ACTIVE dest queued',
            ],
            rows,
        )
        self.assertIn(
            '1 moved 1 on the wire 1 preparing 1 queued 3 left', drawn
        )

    def test_many_do_not_fill_the_screen(self):
        drawn = self.draw(picture(queued=50))
        self.assertIn('and 32 more', drawn)
        self.assertLess(len(drawn), 30)
