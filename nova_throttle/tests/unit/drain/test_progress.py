# SPDX-License-Identifier: Apache-2.0

"""How far a drain is, when it will be done, and which one it is."""

import testtools

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import view
from nova_throttle.tests.unit.drain import base

MIB = 1 << 20


class HistoryTestCase(testtools.TestCase):
    def bursts(self, *migrations):
        found = history.bursts(migrations)
        return [[each.id for each in burst] for burst in found]

    def test_a_long_gap_ends_a_drain(self):
        self.assertEqual(
            [[1, 2], [3]],
            self.bursts(
                base.migration('a', 'completed', 1, begin=0, end=30),
                base.migration('b', 'failed', 2, begin=80, end=90),
                base.migration('b', 'completed', 3, begin=160, end=170),
            ),
        )

    def test_what_is_queued_for_long_is_of_one_drain(self):
        self.assertEqual(
            [[1, 2]],
            self.bursts(
                base.migration('a', 'queued', 1),
                base.migration('b', 'queued', 2, begin=1000),
            ),
        )

    def test_evacuations_are_none(self):
        gone = base.migration('a', 'done', kind='evacuation')
        self.assertEqual([], self.bursts(gone))

    def test_time_of_nobody_does_not_count(self):
        seconds = history.busy(
            [
                base.migration('a', 'completed', 1, begin=-40, end=-30),
                base.migration('b', 'completed', 2, begin=-35, end=-25),
                base.migration('c', 'running', 3, begin=-5, end=-4),
            ],
            base.NOW,
        )
        self.assertEqual(20 * 60, seconds)


class ProgressTestCase(testtools.TestCase):
    def test_measure(self):
        a, b, c, d, e, f = map(base.server, 'abcdef')
        locked = base.server('g', lock='')
        facts = base.host(
            *(b, c, d, e, f, locked),
            moved=(a,),
            migrations=(
                base.migration('a', 'completed', 1, begin=-2, end=-1),
                base.migration('b', 'running', 2, begin=-2),
                base.migration('c', 'preparing', 3, begin=-2),
                base.migration('d', 'queued', 4, begin=-2),
                base.migration('e', 'failed', 5, begin=-2),
            ),
            transfers={2: facts_lib.Transfer(1024 * MIB, 512 * MIB)},
        )
        found = base.measure(facts)
        self.assertEqual(
            '1 moved, 1 on the wire, 1 preparing, 1 queued, 1 failed, 6 left',
            view.in_words(found),
        )
        # b by half, and c to f.
        self.assertEqual(4608, found.memory)
        self.assertEqual(1536 / 120, found.rate)
        self.assertEqual(4608 / (1536 / 120), found.eta)
        self.assertEqual(
            '4.5 GiB left to move at 13 MiB/s, done in about 6 min',
            view.rest(found),
        )

    def test_nothing_has_moved_yet(self):
        found = base.measure(base.host(base.server('a')))
        self.assertIsNone(found.eta)
        self.assertEqual('1.0 GiB left to move', view.rest(found))

    def test_empty(self):
        self.assertEqual(0, base.measure(base.host()).eta)

    def test_duration(self):
        for seconds, expected in (
            (5, '5 s'),
            (600, '10 min'),
            (7200, '2.0 h'),
        ):
            self.assertEqual(expected, view.duration(seconds))
