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

"""What the scenario of a limit of the whole cloud reads out of what it saw."""

import unittest
from unittest import mock

from labkit.cloud import Migration
from labkit.scenarios import cluster


def line(at, number, status):
    return {'at': at, 'id': number, 'status': status}


class ClusterTest(unittest.TestCase):
    def test_owners_are_sources_in_progress(self):
        migrations = [
            Migration(n, '', '', source, 'x', status, '')
            for n, (source, status) in enumerate(
                [
                    ('b', 'running'),
                    ('a', 'preparing'),
                    ('a', 'running'),
                    ('c', 'queued'),
                    ('d', 'completed'),
                ]
            )
        ]
        self.assertEqual(['a', 'b'], cluster.owners(migrations))

    def test_a_hand_over_is_from_an_end_to_the_next_beginning(self):
        history = [
            line(0.0, 1, 'preparing'),
            line(0.1, 2, 'preparing'),
            line(5.0, 1, 'completed'),
            line(5.5, 2, 'completed'),
            line(5.6, 3, 'preparing'),
            line(5.6, 3, 'running'),
            line(6.5, 4, 'preparing'),
            line(9.0, 3, 'error'),
        ]
        self.assertEqual([0.6, 1.0], cluster.hand_overs(history))

    def test_plain_nova_has_no_such_limit(self):
        self.assertEqual([], list(cluster.run(mock.Mock(plain=True))))

    def test_more_than_the_limit_is_a_broken_promise(self):
        watch = mock.Mock(history=[], elapsed=1.0)
        watch.count.return_value = 2
        for most, broken in ((2, 0), (3, 1)):
            case = cluster._case('x', watch, most, True, 2, [], [])
            self.assertEqual(broken, len(case.broken))
        case = cluster._case('x', watch, 2, False, 2, ['a'], ['b'])
        self.assertEqual(3, len(case.broken))
