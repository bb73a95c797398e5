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

"""When a drain counts as one that went as it must."""

import dataclasses

import testtools

from nova_throttle.cmd.stage import report

GOOD = report.Summary(
    servers=3,
    limit=2,
    completed=3,
    peak_records=2,
    peak_libvirt=2,
    handler_ms=(1.0, 2.0, 9.0),
    waited=(0.0, 0.5, 4.0),
    elapsed=7.0,
)


class SummaryTestCase(testtools.TestCase):
    def test_good(self):
        self.assertTrue(GOOD.succeeded)
        self.assertEqual(
            {
                'Limit': '2, held at every instant',
                'In progress at once': 'at most 2 by the migration records, '
                '2 in libvirt',
                'RPC worker kept for': '2.0 ms (median), 9.0 ms at most',
                'Queued for': '0.5 s (median), 4.0 s at most',
                'Elapsed': '7.0 s',
                'Completed': '3 of 3',
            },
            dict(GOOD.lines()),
        )

    def test_either_count_breaks_the_limit(self):
        for count in ('peak_records', 'peak_libvirt'):
            bad = dataclasses.replace(GOOD, **{count: 3})
            self.assertFalse(bad.succeeded)
            self.assertEqual('3 were in progress at once', bad.problem)
            self.assertEqual('2, BROKEN', dict(bad.lines())['Limit'])

    def test_no_limit_to_hold(self):
        unlimited = dataclasses.replace(GOOD, limit=0, peak_libvirt=3)
        self.assertTrue(unlimited.succeeded)
        self.assertEqual('none', dict(unlimited.lines())['Limit'])

    def test_a_server_did_not_arrive(self):
        bad = dataclasses.replace(GOOD, completed=2)
        self.assertFalse(bad.succeeded)
        self.assertEqual('1 of 3 servers did not arrive', bad.problem)
