# SPDX-License-Identifier: Apache-2.0

"""When a drain counts as one that went as it must."""

from collections import Counter
import dataclasses
import re

import testtools

from nova_throttle.admission import snapshot
from nova_throttle.demo import options
from nova_throttle.demo import records
from nova_throttle.demo import report

OPTIONS = options.Options(
    servers=3,
    sources=1,
    destinations=1,
    limit=2,
    incoming=1,
    transfers=0,
    seconds=1.0,
    mode='native',
)

OUT = records.Gate(records.SOURCE, 'a')
IN = records.Gate(records.DESTINATION, 'b')

GOOD = report.Report(
    options=OPTIONS,
    completed=3,
    records=Counter({OUT: 2, IN: 1}),
    libvirt=Counter({OUT: 1, IN: 1}),
    waited=(4.0, 0.0, 0.5),
    elapsed=7.0,
)


def lines(a_report):
    """Return the values of a report by their names."""
    return dict(
        re.fullmatch('(.*?)  +(.*)', line).groups()
        for line in str(a_report).splitlines()
    )


class ReportTestCase(testtools.TestCase):
    def test_good(self):
        self.assertEqual('', GOOD.problem)
        self.assertEqual(
            {
                'Source limit': '2, held at every instant',
                'Destination limit': '1, held at every instant',
                'Transfer limit': 'none',
                'Out of a': 'at most 2 at once by the migration records, '
                '1 in libvirt',
                'Into b': 'at most 1 at once by the migration records, '
                '1 in libvirt',
                'Queued for': '0.5 s (median), 4.0 s at most',
                'Elapsed': '7.0 s',
                'Completed': '3 of 3',
            },
            lines(GOOD),
        )

    def assert_broken(self, gate, most, problem, line):
        """Check that either count breaks a limit."""
        for name in ('records', 'libvirt'):
            counts = getattr(GOOD, name) | Counter({gate: most})
            bad = dataclasses.replace(GOOD, **{name: counts})
            self.assertEqual(problem, bad.problem)
            values = lines(bad)
            self.assertIn('BROKEN', values.pop(line))
            self.assertNotIn('BROKEN', str(values))

    def test_the_limit_of_a_source_is_broken(self):
        self.assert_broken(
            OUT,
            3,
            'Out of a, 3 were in progress at once, not at most 2',
            'Source limit',
        )

    def test_the_limit_of_a_destination_is_broken(self):
        self.assert_broken(
            IN,
            2,
            'Into b, 2 were in progress at once, not at most 1',
            'Destination limit',
        )

    def test_the_limit_on_transfers_is_broken(self):
        one = dataclasses.replace(OPTIONS, transfers=1)
        good = dataclasses.replace(GOOD, options=one)
        self.assertEqual('', good.problem)
        self.assertEqual(
            '1, held at every instant', lines(good)['Transfer limit']
        )
        bad = dataclasses.replace(good, libvirt=Counter({OUT: 2, IN: 1}))
        self.assertEqual(
            'Out of a, 2 had the link at once, not at most 1', bad.problem
        )
        self.assertEqual('1, BROKEN', lines(bad)['Transfer limit'])

    def test_no_limit_to_hold(self):
        unlimited = dataclasses.replace(
            GOOD,
            options=dataclasses.replace(OPTIONS, incoming=0),
            libvirt=Counter({OUT: 1, IN: 3}),
        )
        self.assertEqual('', unlimited.problem)
        self.assertEqual('none', lines(unlimited)['Destination limit'])

    def test_a_server_did_not_arrive(self):
        bad = dataclasses.replace(GOOD, completed=2)
        self.assertEqual('1 of 3 servers did not arrive', bad.problem)


class InUseTestCase(testtools.TestCase):
    def in_use(self, *gates):
        found = {gate.name: gate for gate in gates}
        return report.in_use(snapshot.Snapshot(found, ()))

    def test_how_full_a_gate_is(self):
        gate = snapshot.GateState('g', 2, ('m1',))
        self.assertEqual({'g': '1 of 2'}, self.in_use(gate))

    def test_no_limit(self):
        gate = snapshot.GateState('g', 0, ('m1', 'm2'))
        self.assertEqual({'g': '2 of unlimited'}, self.in_use(gate))

    def test_what_other_hosts_have_of_it(self):
        gate = snapshot.GateState('g', 3, (), ('m1',), ('m2', 'm3'))
        self.assertEqual(
            {'g': '0 of 3 (1 offered, 2 waiting)'}, self.in_use(gate)
        )

    def test_a_gate_that_is_not_in_use(self):
        self.assertEqual({}, self.in_use(snapshot.GateState('g', 2, ())))
