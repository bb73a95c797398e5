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

"""What was measured is kept, compared and drawn as it is."""

import csv
import pathlib
import tempfile
import unittest
from unittest import mock
from xml.etree import ElementTree

from labkit import figures
from labkit.plan import Plan
from labkit import results

HISTORY = [
    {'at': 0.0, 'id': 7, 'status': 'queued'},
    {'at': 0.5, 'id': 8, 'status': 'preparing'},
    {'at': 1.0, 'id': 8, 'status': 'running'},
    {'at': 4.0, 'id': 8, 'status': 'completed'},
    {'at': 4.0, 'id': 7, 'status': 'running'},
]


class ResultsTestCase(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        self.plan = Plan(self.place)
        patch = mock.patch.object(
            results,
            'versions',
            autospec=True,
            return_value={'nova': '34.0.0'},
        )
        patch.start()
        self.addCleanup(patch.stop)

    def save(self, label, mode='ours', scenario='drain', **values):
        case = results.Case(label, values, raw={'history': HISTORY})
        words = (self.plan, self.place, scenario, mode, [case])
        results.save(*words, 'a note')

    def test_cases_of_other_labels_stay(self):
        self.save('one', completed=1)
        self.save('two', completed=2)
        self.save('one', completed=3)
        cases = results.load(self.place, 'drain', 'ours')['cases']
        self.assertEqual(
            {'one': 3, 'two': 2},
            {label: c['figures']['completed'] for label, c in cases.items()},
        )

    def test_what_it_was_measured_with_is_kept(self):
        self.save('one', 'plain')
        (case,) = results.load(self.place, 'drain', 'plain')['cases'].values()
        self.assertEqual('lab/lab run drain --plain', case['command'])
        self.assertEqual({'nova': '34.0.0'}, case['versions'])
        self.assertEqual('a note', case['note'])
        self.assertEqual(HISTORY, case['raw']['history'])

    def test_ours_stands_beside_plain(self):
        self.save('one', completed='8 of 8', makespan=60.5)
        self.save('one', 'plain', completed='1 of 8')
        self.assertEqual(
            [
                ('one', 'completed', '8 of 8', '1 of 8'),
                ('', 'makespan', '60.5', ''),
            ],
            results.compare(self.place, 'drain'),
        )

    def test_nothing_measured(self):
        self.assertEqual([], results.compare(self.place, 'drain'))

    def test_a_broken_promise(self):
        case = results.Case('one', {})
        case.expect(True, 'kept')
        case.expect(False, 'broken')
        self.assertEqual(['broken'], case.broken)

    def test_files(self):
        self.save('8 guests, limit 1', completed='8 of 8')
        self.save('any', scenario='queue')
        written = figures.write(self.place, self.place / 'doc')
        self.assertEqual(
            [
                'drain-8-guests-limit-1.svg',
                'drain.csv',
                'queue.csv',
                'runs.csv',
            ],
            sorted(path.name for path in written),
        )
        with (self.place / 'doc/drain.csv').open() as file:
            rows = list(csv.reader(file))
        self.assertEqual(
            ['8 guests, limit 1', 'completed', '8 of 8', ''], rows[1]
        )


class RunsTestCase(unittest.TestCase):
    def test_those_of_one_version_are_one(self):
        def case(minute, version):
            return {
                'command': 'lab/lab run drain',
                'date': f'2026-11-22T23:{minute}+00:00',
                'versions': {'qemu': version, 'nova': '34', 'commit': minute},
            }

        cases = [case('10', '10'), case('15', '10'), case('59', '11')]
        command = 'lab/lab run drain'
        self.assertEqual(
            [
                (command, '2026-11-22 23:10 to 23:15', 'nova 34, qemu 10'),
                (command, '2026-11-22 23:59', 'nova 34, qemu 11'),
            ],
            figures._runs(cases),
        )

    def test_a_version_is_found_in_what_a_program_prints(self):
        for line, version in (
            ('libvirtd (libvirt) 11.3.0', '11.3.0'),
            ('QEMU emulator version 10.0.2 (Debian 1:10)', '10.0.2'),
            ('no number', ''),
        ):
            self.assertEqual(version, results.number(line))


class GanttTestCase(unittest.TestCase):
    def test_bars(self):
        """One that had not ended when the watch did ends with it."""
        self.assertEqual(
            [
                (1, 'preparing', 0.5, 1.0),
                (1, 'running', 1.0, 4.0),
                (0, 'queued', 0.0, 4.0),
                (0, 'running', 4.0, 4.0),
            ],
            figures._bars(HISTORY, figures.COLOURS),
        )

    def test_picture(self):
        both = {'ours': HISTORY, 'plain': HISTORY}
        picture = figures.gantt('a & b', both)
        tree = ElementTree.fromstring(picture)
        texts = [node.text for node in tree.iter() if node.text]
        for text in ('a & b', *results.MODES.values(), *figures.COLOURS):
            self.assertIn(text, texts)
        used = [node.get('fill') for node in tree.iter()]
        # Two panels and the legend.
        self.assertEqual(5, used.count(figures.COLOURS['running']))
