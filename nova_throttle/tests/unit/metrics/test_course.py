# SPDX-License-Identifier: Apache-2.0

import dataclasses

import testtools

from nova_throttle import lifecycle
from nova_throttle.metrics import course as course_lib
from nova_throttle.tests.unit import test_events

State = lifecycle.State


class CourseTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.course = course_lib.Course()
        self._before = {}

    def go(self, uuid, *states, status='queued'):
        """Take a migration through states."""
        for state in states:
            self.course.note(
                dataclasses.replace(
                    test_events.TRANSITION,
                    migration_uuid=uuid,
                    before=self._before.get(uuid),
                    after=state,
                    status=status,
                )
            )
            self._before[uuid] = state

    def durations(self):
        """Count the observed durations of each state."""
        return {
            sample.labels['state']: sample.value
            for metric in self.course.durations.collect()
            for sample in metric.samples
            if sample.name.endswith('_count') and sample.value
        }

    def results(self):
        return {
            sample.labels['result']: sample.value
            for metric in self.course.finished.collect()
            for sample in metric.samples
            if sample.name.endswith('_total') and sample.value
        }

    def test_each_state_is_timed_once_it_is_left(self):
        self.go('a', State.QUEUED, State.PREPARING, State.PREPARED)
        self.assertEqual({'queued': 1, 'preparing': 1}, self.durations())
        self.assertEqual({'a': State.PREPARED}, self.course.states())

    def test_what_arrived_is_completed_whatever_its_record_says(self):
        self.go('a', State.ARRIVED, State.OVER, status='running')
        self.assertEqual({'completed': 1}, self.results())
        self.assertEqual({}, self.course.states())

    def test_what_did_not_arrive_is_what_its_record_says(self):
        for status in ('failed', 'cancelled', 'error'):
            self.go(status, State.QUEUED, State.ROLLING_BACK)
            self.go(status, State.OVER, status=status)
        self.assertEqual(
            {'failed': 1, 'cancelled': 1, 'error': 1}, self.results()
        )

    def test_one_that_a_stop_interrupts_has_no_result(self):
        self.go('a', State.PREPARED, State.OVER, status='preparing')
        self.assertEqual({}, self.results())
        self.assertEqual({}, self.course.states())

    def test_one_that_is_told_twice_is_timed_once(self):
        """After a restart it is told again at each attempt."""
        self.go('a', State.ARRIVED, State.ARRIVED, State.ARRIVED)
        self.assertEqual({}, self.durations())
        self.go('a', State.OVER)
        self.assertEqual({'arrived': 1}, self.durations())

    def test_one_that_nobody_told_of_can_end(self):
        self.go('a', State.OVER, status='error')
        self.assertEqual({'error': 1}, self.results())
        self.assertEqual({}, self.durations())
