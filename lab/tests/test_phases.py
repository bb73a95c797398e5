# SPDX-License-Identifier: Apache-2.0

"""Phases of migrations, by what nova-throttle says."""

import types
import unittest

from labkit import figures
from labkit import phases
from labkit.scenarios import link

MOVES = {'done': 1, 'remaining': 2, 'slow': False}


def heard(*lines):
    return [
        {'at': 100 + at, 'host': 'compute1', 'migrations': found}
        for at, found in lines
    ]


class PhasesTestCase(unittest.TestCase):
    def setUp(self):
        super().setUp()
        migration = types.SimpleNamespace(uuid='a', id=7)
        self.watch = types.SimpleNamespace(begin=100, last=[migration])

    def test_each_change_is_a_line(self):
        found = phases.history(
            heard(
                (0, {}),
                (1, {'a': {'state': 'queued'}, 'other': {'state': 'queued'}}),
                (2, {'a': {'state': 'queued'}}),
                (3, {'a': {'state': 'preparing'}}),
                (4, {'a': {'state': 'prepared'}}),
                (5, {'a': {'state': 'transferring'}}),
                (6, {'a': {'state': 'transferring', **MOVES, 'slow': True}}),
                (7, {'a': {'state': 'transferring', **MOVES}}),
                (8, {'a': {'state': 'transferring'}}),
                (9, {'a': {'state': 'arrived'}}),
                (10, {}),
            ),
            self.watch,
        )
        self.assertEqual(
            [
                (1, phases.WAITING),
                (3, phases.PREPARING),
                (4, phases.PREPARED),
                (5, phases.WIRE),
                (6, phases.DECK),
                (7, phases.WIRE),
                (8, phases.FINISHING),
                (10, 'over'),
            ],
            [(line['at'], line['status']) for line in found],
        )
        self.assertEqual({7}, {line['id'] for line in found})
        picture = figures.gantt('a', {'ours': found}, figures.PHASES)
        for colour in figures.PHASES.values():
            self.assertIn(f'fill="{colour}"', picture)

    def test_what_is_no_line_is_left_out(self):
        text = 'warning\n{"at": 1, "migrations": {}}\n{"at": 2, "mig'
        self.assertEqual(1, len(list(phases._lines(text))))


class LinkTestCase(unittest.TestCase):
    def drain(self, makespan):
        return link.Drain(makespan, 8, [], [], [])

    def test_one_that_never_ends_is_the_longest(self):
        times = (None, 60.0, 50.0)
        self.assertEqual(60, link._median(list(map(self.drain, times))))
        times = (None, 60.0, None)
        case = link._case(
            'x', link.Setting(8), list(map(self.drain, times)), 60.0
        )
        self.assertEqual('none in 180', case.figures['makespan (s), median'])
        self.assertEqual('', case.figures['part of the best fixed limit'])

    def test_it_is_compared_with_the_best_fixed_limit(self):
        case = link._case('x', link.AUTO, [self.drain(45.0)], 60.0)
        found = case.figures['part of the best fixed limit']
        self.assertEqual('0.75', found)
        self.assertEqual([], case.broken)
        self.assertEqual('limit 8, transfers auto', str(link.AUTO))
