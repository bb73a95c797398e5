# SPDX-License-Identifier: Apache-2.0

"""What a drain does next, by what has happened to it."""

import dataclasses

import testtools

from nova_throttle.drain import course as course_lib
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import options as options_lib
from nova_throttle.tests.unit.drain import base


class CourseTestCase(testtools.TestCase):
    def begin(self, **options):
        self.now = 0
        self.course = course_lib.Course(
            options_lib.Options(**options), self.now
        )

    def steps(self, *servers, **more):
        """Take the steps, and return names and targets of what is asked."""
        facts = base.host(*servers, **more)
        steps = self.course.steps(facts, self.now)
        for step in steps:
            if isinstance(step, course_lib.Ask):
                self.course.attempts.asked(step.server, step.target)
        return [
            (step.server.name, step.target)
            if isinstance(step, course_lib.Ask)
            else type(step).__name__
            for step in steps
        ]

    def over(self, *servers, **more):
        return self.course.is_over(base.host(*servers, **more), self.now)

    def reasons(self, *servers, **more):
        left = self.course.left(base.host(*servers, **more))
        return [each.reason for each in left]

    def test_all_at_once_but_what_moves_or_stays(self):
        self.begin()
        a, b, c = map(base.server, 'abc')
        c = dataclasses.replace(c, lock='')
        moving = (base.migration('b', 'queued'),)
        self.assertEqual([('a', None)], self.steps(a, b, c, migrations=moving))
        self.assertEqual([], self.steps(a, b, c, migrations=moving))
        self.assertEqual(
            ['', 'its migration is queued', 'is locked'],
            self.reasons(a, b, c, migrations=moving),
        )

    def test_who_has_failed_comes_last_and_elsewhere(self):
        self.begin(retry_after=10)
        a, b = map(base.server, 'ab')
        self.steps(a)
        self.course.attempts.failed('uuid-a', 'broken', self.now, 'd1')
        self.assertEqual([], self.steps(a))
        self.assertFalse(self.over(a))
        self.now = 10
        self.assertEqual([('b', None), ('a', 'd2')], self.steps(a, b))

    def test_who_found_no_room_is_nowhere_to_be_sent(self):
        self.begin(retry_after=0, max_failures=1)
        a = base.server('a')
        self.steps(a)
        self.course.attempts.failed(
            'uuid-a', 'No valid host was found', self.now
        )
        self.assertEqual([('a', None)], self.steps(a))
        self.assertEqual(0, self.course.attempts.failures)

    def test_attempts(self):
        self.begin(retry_after=0, attempts=2)
        a = base.server('a')
        for _ in range(2):
            self.assertFalse(self.over(a))
            self.assertEqual(1, len(self.steps(a)))
            self.course.attempts.failed('uuid-a', 'broken', self.now)
        self.assertEqual([], self.steps(a))
        self.assertTrue(self.over(a))
        self.assertEqual(['broken; 2 attempts'], self.reasons(a))

    def test_what_was_aborted_is_not_asked_for_again(self):
        self.begin(retry_after=0)
        a = base.server('a')
        self.steps(a)
        self.course.attempts.aborted('uuid-a')
        self.assertEqual([], self.steps(a))
        self.assertTrue(self.over(a))
        self.assertEqual(['its migration was aborted'], self.reasons(a))

    def test_targets_by_what_they_got(self):
        self.begin(targets=('d1', 'd2'))
        servers = [
            base.server('a', memory=1),
            base.server('b', memory=2),
            base.server('c', memory=3),
        ]
        self.assertEqual(
            [('a', 'd1'), ('b', 'd2'), ('c', 'd1')], self.steps(*servers)
        )

    def test_the_end_of_an_attempt(self):
        self.begin()
        a = base.server('a')
        self.steps(a)
        busy = dataclasses.replace(a, task='migrating', status='MIGRATING')
        ended = self.course.ended
        self.assertEqual([], list(ended(base.host(busy))))
        moving = (base.migration('a', 'running'),)
        self.assertEqual([], list(ended(base.host(a, migrations=moving))))
        over = (base.migration('a', 'failed'),)
        self.assertEqual([a], list(ended(base.host(a, migrations=over))))

    def test_who_is_busy_is_waited_for(self):
        self.begin(patience=60)
        busy = base.server('a', task='rebuilding')
        self.now = 59
        self.assertFalse(self.over(busy))
        self.now = 60
        self.assertTrue(self.over(busy))

    def test_cold_ones_have_no_queue(self):
        self.begin(cold_at_once=1)
        a, b = (base.server(name, status='SHUTOFF') for name in 'ab')
        self.assertEqual([('a', None)], self.steps(a, b))
        moving = (base.migration('a', 'migrating', kind=facts_lib.COLD),)
        self.assertEqual([], self.steps(a, b, migrations=moving))
        done = (base.migration('a', 'finished', kind=facts_lib.COLD),)
        self.assertEqual(
            ['Confirm', ('b', None)],
            self.steps(b, migrations=done, unconfirmed=(a,)),
        )

    def test_the_resize_of_a_user_is_not_confirmed(self):
        self.begin()
        a = base.server('a', status='VERIFY_RESIZE')
        done = (base.migration('a', 'finished', kind='resize'),)
        more = {'migrations': done, 'unconfirmed': (a,)}
        self.assertEqual([], self.steps(**more))
        self.assertTrue(self.over(**more))
        self.assertEqual(
            ['its move off this host is not confirmed'], self.reasons(**more)
        )

    def test_too_many_failures(self):
        self.begin(max_failures=1, retry_after=0)
        a, b, c = map(base.server, 'abc')
        self.steps(a)
        self.course.attempts.failed('uuid-a', 'broken', self.now)
        moving = (
            base.migration('b', 'queued', 1),
            base.migration('c', 'running', 2),
        )
        self.assertEqual(['Abort'], self.steps(a, b, c, migrations=moving))
        self.assertEqual([], self.steps(a, b, c, migrations=moving))
        self.assertTrue(self.over(a, b))

    def test_deadline(self):
        moving = (
            base.migration('a', 'queued', 1),
            base.migration('b', 'running', 2),
        )
        a, b, c = map(base.server, 'abc')
        for force, expected in (
            (False, []),
            (True, [('c', None), 'ForceComplete']),
        ):
            self.begin(deadline=60, force_complete=force)
            self.assertEqual([], self.steps(a, b, migrations=moving))
            self.now = 59
            self.assertFalse(self.over(a, b, c, migrations=moving))
            self.now = 60
            self.assertEqual(not force, self.over(a, migrations=moving))
            self.assertEqual(expected, self.steps(a, b, c, migrations=moving))
