# SPDX-License-Identifier: Apache-2.0

import dataclasses

from prometheus_client import parser
import testtools

from nova_throttle.admission import priority
from nova_throttle.admission import snapshot as core
from nova_throttle import lifecycle
from nova_throttle.metrics import collector as collector_lib
from nova_throttle.metrics import course as course_lib
from nova_throttle.tests.unit import test_events
from nova_throttle.transfer import progress

State = lifecycle.State

FULL = core.Wait(core.WaitReason.GATE_FULL, 'source', 1, ('a',))
FULL_THERE = core.Wait(
    core.WaitReason.GATE_FULL, 'destination', 2, ('x', 'y'), 'dest', 3
)


def entry(uuid, priority=0, seconds=1.0, *waits):
    return core.QueueEntry(uuid, 'i', 'dest', priority, 1, seconds, waits)


class CollectorTestCase(testtools.TestCase):
    gates = {
        'source': core.GateState('source', 1, ('a',)),
        'destination': core.GateState(
            'destination', 0, ('x', 'y'), ('z',), ('v', 'w')
        ),
    }
    queue = ()
    durable = True
    paused = False
    progress: dict = {}

    def setUp(self):
        super().setUp()
        self.course = course_lib.Course()
        self.collector = collector_lib.Collector(
            'cpu1',
            {'version': '1.0', 'nova': '34.0.0'},
            lambda: core.Snapshot(
                self.gates, self.queue, progress=self.progress
            ),
            lambda: self.durable,
            lambda: self.paused,
            self.course,
        )

    def enter(self, uuid, state):
        self.course.note(
            dataclasses.replace(
                test_events.TRANSITION, migration_uuid=uuid, after=state
            )
        )

    def read(self, name, *labels):
        """Return the series of a metric, by the values of labels."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in parser.text_string_to_metric_families(
                self.collector.text()
            )
            for sample in family.samples
            if sample.name == f'nova_throttle_{name}'
        }

    def test_gates(self):
        self.assertEqual(
            {('source',): 1, ('destination',): float('inf')},
            self.read('gate_limit', 'gate'),
        )
        self.assertEqual(
            {('source',): 1, ('destination',): 2},
            self.read('gate_owners', 'gate'),
        )
        self.assertEqual(
            {('source',): 0, ('destination',): 1},
            self.read('gate_offered', 'gate'),
        )

    def test_what_waits_for_a_gate_waits_there_only(self):
        """What waits at another host is counted by that host."""
        self.queue = (entry('b', 0, 1.0, FULL, FULL_THERE), entry('c'))
        self.assertEqual(
            {('source',): 1, ('destination',): 2},
            self.read('gate_waiting', 'gate'),
        )
        reasons = self.read('queue_waits', 'reason')
        self.assertEqual(2, reasons['gate full',])
        self.assertEqual(len(core.WaitReason), len(reasons))

    def test_what_waits_for_a_gate_of_the_cluster(self):
        """No host keeps it: each tells of its own that wait there."""
        wait = core.Wait(core.WaitReason.GATE_FULL, 'cluster', 1, ('z',))
        self.queue = (entry('b', 0, 1.0, wait), entry('c', 0, 1.0, wait))
        self.assertEqual(
            {('source',): 0, ('destination',): 2, ('cluster',): 2},
            self.read('gate_waiting', 'gate'),
        )
        self.assertEqual(2, len(self.read('gate_limit', 'gate')))

    def test_queue(self):
        self.queue = (
            entry('p', seconds=7.5),
            entry('b', priority.Priority.PROMOTED, 90.0),
            entry('c', priority.Priority.DRAIN, 2.0),
            entry('d', 77, 80.0),
            entry('e', -77, 81.0),
        )
        self.enter('p', State.PREPARED)
        found = self.read('queue_length', 'state', 'class')
        self.assertEqual(
            {
                ('prepared', 'normal'): 1,
                ('queued', 'promoted'): 1,
                ('queued', 'drain'): 1,
                ('queued', 'other'): 2,
            },
            {labels: value for labels, value in found.items() if value},
        )
        self.assertEqual(
            {('queued',): 90.0, ('prepared',): 7.5},
            self.read('queue_oldest_wait_seconds', 'state'),
        )

    def test_what_is_on_deck_waits_for_the_link(self):
        self.queue = (entry('a'), entry('b'))
        self.enter('a', State.TRANSFERRING)
        self.enter('b', State.QUEUED)
        found = self.read('queue_length', 'state', 'class')
        self.assertEqual(1, found['prepared', 'normal'])
        self.assertEqual(1, found['queued', 'normal'])

    def test_states(self):
        self.enter('a', State.TRANSFERRING)
        self.enter('b', State.ARRIVED)
        found = self.read('migrations', 'state')
        self.assertEqual(1, found['transferring',])
        self.assertEqual(1, found['arrived',])
        self.assertEqual(0, found['rolling back',])

    def test_what_is_on_the_wire_has_series_of_its_own_while_it_is(self):
        self.assertEqual({(): 0}, self.read('link_transfers'))
        self.assertEqual({}, self.read('migration_pass', 'migration'))
        self.progress = {
            'a': progress.Progress(
                done=10, remaining=30, rate=5.0, dirty_rate=2.5, iteration=3
            ),
            # Nothing of it has moved yet.
            'b': progress.Progress(remaining=70),
        }
        self.assertEqual({(): 1}, self.read('link_transfers'))
        self.assertEqual({(): 5}, self.read('link_bytes_per_second'))
        for name, a, b in (
            ('sent_bytes', 10, 0),
            ('remaining_bytes', 30, 70),
            ('bytes_per_second', 5, 0),
            ('dirty_bytes_per_second', 2.5, 0),
            ('pass', 3, 0),
        ):
            self.assertEqual(
                {('a',): a, ('b',): b},
                self.read(f'migration_{name}', 'migration'),
            )

    def test_downtime(self):
        self.course.note_downtime(0.08)
        self.assertEqual({(): 0.08}, self.read('downtime_seconds_sum'))
        found = self.read('downtime_seconds_bucket', 'le')
        self.assertEqual((0, 1), (found['0.05',], found['0.1',]))

    def test_the_journal(self):
        self.assertEqual({(): 1}, self.read('journal_durable'))
        self.durable = False
        self.assertEqual({(): 0}, self.read('journal_durable'))

    def test_a_pause(self):
        self.assertEqual({(): 0}, self.read('queue_paused'))
        self.paused = True
        self.assertEqual({(): 1}, self.read('queue_paused'))

    def test_what_runs(self):
        self.assertEqual(
            {('cpu1', '1.0', '34.0.0'): 1},
            self.read('info', 'host', 'version', 'nova'),
        )

    def test_all_series_name_the_host_and_none_is_of_its_making(self):
        for family in parser.text_string_to_metric_families(
            self.collector.text()
        ):
            for sample in family.samples:
                self.assertEqual('cpu1', sample.labels['host'], sample)
                self.assertFalse(sample.name.endswith('_created'))

    def test_the_number_of_series_does_not_grow_with_the_queue(self):
        def count():
            return len(self.collector.text().splitlines())

        before = count()
        self.queue = tuple(
            entry(f'm{n}', n, n, FULL, FULL_THERE) for n in range(100)
        )
        for one in self.queue:
            self.enter(one.migration_uuid, State.QUEUED)
        self.assertEqual(before, count())

    def test_all_results_are_there_before_the_first(self):
        self.assertEqual(
            {(result,): 0 for result in course_lib.RESULTS},
            self.read('finished_migrations_total', 'result'),
        )
