# SPDX-License-Identifier: Apache-2.0

"""When a drain will be done, on traces of some."""

import testtools

from nova_throttle.drain import course as course_lib
from nova_throttle.drain import options as options_lib
from nova_throttle.drain import pace as pace_lib
from nova_throttle.drain import progress
from nova_throttle.tests.unit.drain import base
from nova_throttle.tests.unit.drain import traces


class PaceTestCase(testtools.TestCase):
    def estimates(self, trace, during=lambda trace: None):
        """Return all that is said: when, how much is left, and the truth."""
        pace = pace_lib.Pace()
        said = []
        for now, facts in trace.looks():
            during(trace)
            pace.look(facts)
            found = base.measure(facts, pace)
            if found.eta is not None:
                said.append((now, found.eta))
        return [(now, eta, trace.time - now) for now, eta in said]

    def assert_near(self, estimates, factor, since=0.0):
        """Check that nothing said was wrong by more than a factor.

        What is left in the last seconds is not worth a factor.
        """
        slack = 3 * traces.INTERVAL
        self.assertNotEqual([], estimates)
        for now, eta, left in estimates:
            if now >= since:
                most, least = factor * left + slack, left / factor - slack
                self.assertTrue(least <= eta <= most, (now, eta, left))

    def test_nothing_is_said_before_something_was_measured(self):
        trace = traces.Trace([8192] * 8, rate=100, setup=30)
        first, *_ = found = self.estimates(trace)
        # Prepared for 30 s, and then on the wire for long enough.
        self.assertEqual(50, first[0] // 5 * 5)
        self.assert_near(found, 1.5)

    def test_guests_one_after_another(self):
        found = self.estimates(traces.Trace([4096] * 12, rate=200))
        self.assert_near(found, 1.3)

    def test_small_ones_first_do_not_scare_with_the_large_ones(self):
        """Their time is that of their preparation, and not of the wire."""
        sizes = [512] * 20 + [65536] * 10
        found = self.estimates(traces.Trace(sizes, rate=1000))
        self.assert_near(found, 1.5)

    def test_four_share_the_link(self):
        found = self.estimates(traces.Trace([8192] * 20, 400, limit=4))
        self.assert_near(found, 1.4)

    def test_the_link_is_handed_on(self):
        trace = traces.Trace([8192] * 20, 400, limit=4, transfers=1)
        self.assert_near(self.estimates(trace), 1.3)

    def test_all_are_small(self):
        """Nobody is ever seen on the wire: only records say anything."""
        trace = traces.Trace([512] * 40, rate=2000, setup=6)
        self.assert_near(self.estimates(trace), 1.3)

    def test_an_hour_of_a_pause_is_not_the_pace(self):
        trace = traces.Trace([8192] * 20, 200)

        def pause(trace):
            trace.paused = 200 < trace.time < 3800

        found = self.estimates(trace, pause)
        self.assert_near(found, 1.3, since=3800)

    def test_the_link_becomes_slower(self):
        trace = traces.Trace([8192] * 30, 400, limit=4, transfers=1)

        def slower(trace):
            trace.rate = 400 if trace.time < 200 else 100

        # Five minutes, and the old rate is forgotten.
        self.assert_near(self.estimates(trace, slower), 1.3, since=550)

    def test_what_moves_cold_takes_no_time_of_the_link(self):
        a, b = base.server('a'), base.server('b', status='SHUTOFF')
        pace = pace_lib.Pace()
        for seconds in range(0, 30, 5):
            pace.look(self.running(a, b, seconds=seconds))
        found = base.measure(self.running(a, b, seconds=25), pace)
        self.assertEqual((1024 - 250 + 1024, 10), (found.memory, found.rate))
        self.assertAlmostEqual((1024 - 250) / 10, found.eta)

    def running(self, *servers, seconds):
        """Return a look at a guest that is sent at 10 MiB/s."""
        return base.host(
            *servers,
            migrations=(base.migration('a', 'running', 7),),
            transfers={7: traces.transfer(1024, 10 * seconds)},
            at=base.at(seconds / 60),
        )


class RestTestCase(testtools.TestCase):
    """What counts as left to move."""

    def setUp(self):
        super().setUp()
        self.course = course_lib.Course(options_lib.Options(attempts=2), 0)

    def memory(self, facts, course=None):
        to_come = (course or self.course).to_come(facts)
        return progress.measure(facts, to_come).memory

    def try_all(self, facts, now):
        for step in self.course.steps(facts, now):
            self.course.attempts.asked(step.server, step.target)
        for server in self.course.ended(facts):
            self.course.attempts.failed(server.uuid, 'no', now)

    def test_what_has_used_up_its_attempts_is_not_counted(self):
        facts = base.host(base.server('a'))
        self.assertEqual(1024, self.memory(facts))
        self.try_all(facts, 0)
        self.assertEqual(1024, self.memory(facts))
        self.try_all(facts, 100)
        self.assertEqual(0, self.memory(facts))
        self.assertEqual(0, progress.measure(facts, []).eta)

    def test_what_was_aborted_is_not_counted(self):
        a, b = base.server('a'), base.server('b')
        facts = base.host(a, b)
        for step in self.course.steps(facts, 0):
            self.course.attempts.asked(step.server, step.target)
        self.course.attempts.aborted(a.uuid)
        self.assertEqual(1024, self.memory(facts))

    def test_after_too_many_failures_only_what_moves_is_counted(self):
        options = options_lib.Options(max_failures=1)
        self.course = course_lib.Course(options, 0)
        facts = base.host(base.server('a'), base.server('b'))
        self.try_all(facts, 0)
        moving = base.migration('b', 'running')
        facts = base.host(*facts.servers, migrations=(moving,))
        self.assertEqual(1024, self.memory(facts))

    def test_who_has_not_run_it_counts_failures_in_the_records(self):
        migrations = [
            base.migration('a', 'error', number, begin=-9 + number)
            for number in range(3)
        ]
        facts = base.host(
            base.server('a'), base.server('b'), migrations=tuple(migrations)
        )
        course = course_lib.of_records(facts)
        self.assertEqual(1024, self.memory(facts, course))
