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

from nova_throttle.demo import report

OPTIONS = report.Options(
    servers=3, sources=1, destinations=1, limit=2, incoming=1, seconds=1.0
)

OUT = report.Peak('a', report.SOURCE, 2, records=2, libvirt=1)
IN = report.Peak('b', report.DESTINATION, 1, records=1, libvirt=1)

GOOD = report.Summary(
    options=OPTIONS,
    completed=3,
    peaks=(OUT, IN),
    handler_ms=(1.0, 2.0, 9.0),
    waited=(0.0, 0.5, 4.0),
    elapsed=7.0,
)


class SummaryTestCase(testtools.TestCase):
    def test_good(self):
        self.assertTrue(GOOD.succeeded)
        self.assertEqual(
            {
                'Source limit': '2, held at every instant',
                'Destination limit': '1, held at every instant',
                'Out of a': 'at most 2 at once by the migration records, '
                '1 in libvirt',
                'Into b': 'at most 1 at once by the migration records, '
                '1 in libvirt',
                'RPC worker kept for': '2.0 ms (median), 9.0 ms at most',
                'Queued for': '0.5 s (median), 4.0 s at most',
                'Elapsed': '7.0 s',
                'Completed': '3 of 3',
            },
            dict(GOOD.lines()),
        )

    def assert_broken(self, peaks, problem, line):
        bad = dataclasses.replace(GOOD, peaks=peaks)
        self.assertFalse(bad.succeeded)
        self.assertEqual(problem, bad.problem)
        self.assertIn('BROKEN', dict(bad.lines())[line])
        broken = [value for _, value in bad.lines() if 'BROKEN' in value]
        self.assertEqual(1, len(broken))

    def test_either_count_breaks_the_limit_of_a_source(self):
        for count in ('records', 'libvirt'):
            self.assert_broken(
                (dataclasses.replace(OUT, **{count: 3}), IN),
                'Out of a, 3 were in progress at once, not at most 2',
                'Source limit',
            )

    def test_either_count_breaks_the_limit_of_a_destination(self):
        for count in ('records', 'libvirt'):
            self.assert_broken(
                (OUT, dataclasses.replace(IN, **{count: 2})),
                'Into b, 2 were in progress at once, not at most 1',
                'Destination limit',
            )

    def test_no_limit_to_hold(self):
        unlimited = dataclasses.replace(
            GOOD,
            options=dataclasses.replace(OPTIONS, incoming=0),
            peaks=(OUT, dataclasses.replace(IN, limit=0, libvirt=3)),
        )
        self.assertTrue(unlimited.succeeded)
        self.assertEqual('none', dict(unlimited.lines())['Destination limit'])

    def test_a_server_did_not_arrive(self):
        bad = dataclasses.replace(GOOD, completed=2)
        self.assertFalse(bad.succeeded)
        self.assertEqual('1 of 3 servers did not arrive', bad.problem)
