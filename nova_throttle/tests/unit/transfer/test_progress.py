# SPDX-License-Identifier: Apache-2.0

"""What is made of the statistics of a migration job."""

import doctest

import hypothesis
from hypothesis import strategies as st
import testtools

from nova_throttle.transfer import progress

MIB = 1024 * 1024

numbers = st.integers(0, 2**40)


def job(processed=0, remaining=0, iteration=1, **more):
    """Return what libvirt tells of the memory, in MiB."""
    return {
        'memory_processed': processed * MIB,
        'memory_remaining': remaining * MIB,
        'memory_iteration': iteration,
        **more,
    }


class EstimatorTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.estimator = progress.Estimator()
        self.now = 0.0

    def see(self, stats, after=0.5):
        self.now += after
        return self.estimator.observe(stats, self.now)

    def test_the_example(self):
        failed, _ = doctest.testmod(progress)
        self.assertEqual(0, failed)

    def test_before_it_begins_nothing_is_known(self):
        for stats in ({}, {'type': 0}, job(0, 0, 0)):
            found = self.see(stats)
            self.assertFalse(found.is_on_wire)
            self.assertEqual(
                (0, 0, 0.0, 0.0, 0, 0, None, None),
                (
                    found.done,
                    found.remaining,
                    found.rate,
                    found.dirty_rate,
                    found.iteration,
                    found.stalled,
                    found.eta,
                    found.share,
                ),
            )

    def test_memory_and_disks_count(self):
        self.see(job(0, 100))
        found = self.see(
            job(10, 90, disk_processed=5 * MIB, disk_remaining=20 * MIB), 1
        )
        self.assertEqual((15 * MIB, 110 * MIB), (found.done, found.remaining))
        self.assertEqual(15 * MIB, found.rate)

    def test_the_time_until_the_first_byte_is_no_rate(self):
        self.see(job(0, 0, 0), 4)
        self.see(job(0, 100), 4)
        self.assertEqual(20 * MIB, self.see(job(10, 90)).rate)

    def test_a_rate_follows_over_five_seconds(self):
        done = 0
        for _ in range(40):
            done += 5
            found = self.see(job(done, 1000))
        self.assertAlmostEqual(10 * MIB, found.rate, delta=1)
        for _ in range(10):
            done += 1
            found = self.see(job(done, 1000))
        # Of the difference of 8 a third is left.
        self.assertAlmostEqual(2 + 8 / 2.718, found.rate / MIB, delta=0.1)
        for _ in range(40):
            done += 1
            found = self.see(job(done, 1000))
        self.assertAlmostEqual(2, found.rate / MIB, delta=0.1)

    def test_one_high_rate_at_the_beginning_does_not_last(self):
        """The first window has as much weight as its length only."""
        self.see(job(0, 1000))
        self.see(job(100, 900))
        done = 100
        for _ in range(4):
            done += 5
            found = self.see(job(done, 900))
        self.assertLess(found.rate / MIB, 60)

    def test_after_a_change_of_speed_only_the_new_rate_counts(self):
        for done in range(20):
            self.see(job(done, 1000))
        self.estimator.change_speed()
        self.see(job(20, 1000))
        found = self.see(job(70, 950))
        self.assertAlmostEqual(100 * MIB, found.rate, delta=1)

    def test_another_job_begins_at_the_beginning(self):
        for number in range(1, 6):
            self.see(job(number * 10, 100, number))
        self.assertEqual(4, self.estimator.last.stalled)
        found = self.see(job(1, 100, 1))
        self.assertEqual((0.0, 1, 0), (found.rate, found.iteration, 0))

    def test_the_end_is_estimated_by_what_the_guest_writes(self):
        dirty = {
            'memory_dirty_rate': 4 * MIB // 4096,
            'memory_page_size': 4096,
        }
        self.see(job(0, 100, 2))
        found = self.see(job(10, 65, 2, **dirty), 1)
        self.assertEqual(4 * MIB, found.dirty_rate)
        # 5 MiB are sent in the half second in which it pauses.
        self.assertAlmostEqual(60 / (10 - 4), found.eta)

    def test_one_that_writes_faster_than_is_sent_is_far_from_its_end(self):
        dirty = {'memory_dirty_rate': 20 * MIB, 'memory_page_size': 1}
        self.see(job(0, 100, 2))
        found = self.see(job(10, 65, 2, **dirty), 1)
        self.assertAlmostEqual(60, found.eta)

    def test_in_post_copy_what_it_writes_does_not_count(self):
        dirty = {'memory_dirty_rate': 20 * MIB, 'memory_page_size': 1}
        self.see(job(0, 100, 2))
        self.estimator.begin_post_copy()
        found = self.see(job(10, 60, 2, **dirty), 1)
        self.assertTrue(found.post_copy)
        self.assertAlmostEqual(6, found.eta)

    def test_a_page_that_was_asked_for_shows_post_copy(self):
        self.assertTrue(
            self.see(job(1, 1, memory_postcopy_requests=1)).post_copy
        )
        self.assertTrue(self.see(job(2, 1)).post_copy)

    def test_what_it_was_told_and_what_it_sees(self):
        told = progress.Estimator(block=True, auto_converge=True)
        found = told.observe({}, 0.0)
        self.assertTrue(found.block and found.auto_converge)
        found = self.see(job(1, 1))
        self.assertFalse(found.block or found.auto_converge)
        found = self.see(job(1, 1, disk_total=1, auto_converge_throttle=20))
        self.assertTrue(found.block and found.auto_converge)

    def test_a_pass_makes_headway_or_stalls(self):
        begins = [100, 50, 40, 37, 36, 10, 10, 9]
        stalled = []
        for number, remaining in enumerate(begins, 1):
            self.see(job(number, remaining, number))
            # Within a pass it says nothing.
            stalled.append(self.see(job(number, 1, number)).stalled)
        self.assertEqual([0, 0, 0, 1, 2, 0, 1, 0], stalled)

    def test_headway_is_measured_against_the_best_pass(self):
        for number, remaining in enumerate([100, 20, 80, 60, 40], 1):
            found = self.see(job(number, remaining, number))
        self.assertEqual(3, found.stalled)


class PropertiesTestCase(testtools.TestCase):
    @hypothesis.given(
        st.lists(
            st.tuples(
                st.floats(0.01, 10),
                numbers,
                numbers,
                st.integers(0, 3),
                st.integers(0, 2**30),
            ),
            min_size=2,
            max_size=30,
        )
    )
    def test_whatever_libvirt_tells_is_within_bounds(self, steps):
        estimator = progress.Estimator()
        now, done, number, rates = 0.0, 0, 0, []
        estimator.observe(job(), now)
        for seconds, more, remaining, passes, dirty in steps:
            now, done, number = now + seconds, done + more, number + passes
            rates.append(more / seconds)
            found = estimator.observe(
                {
                    'memory_processed': done,
                    'memory_remaining': remaining,
                    'memory_iteration': number,
                    'memory_dirty_rate': dirty,
                    'memory_page_size': 4096,
                },
                now,
            )
            self.assertLessEqual(found.rate, max(rates) * (1 + 1e-9))
            self.assertEqual(found.eta is None, found.rate == 0)
            if found.eta is not None:
                self.assertGreaterEqual(found.eta, 0)
            self.assertTrue(found.share is None or 0 <= found.share <= 1)
            self.assertLess(found.stalled, max(number, 1))

    @hypothesis.given(st.lists(st.floats(0, 0.89), min_size=2, max_size=30))
    def test_who_comes_nearer_each_pass_never_stalls(self, shares):
        estimator = progress.Estimator()
        remaining = 2**40
        for number, share in enumerate(shares, 1):
            found = estimator.observe(
                {'memory_iteration': number, 'memory_remaining': remaining},
                float(number),
            )
            self.assertEqual(0, found.stalled)
            remaining = int(remaining * share)

    def test_odd_values_break_nothing(self):
        for key in job(disk_total=0, memory_dirty_rate=0):
            for value in (None, '', 'x', 2.5, -5):
                estimator = progress.Estimator()
                for now in (0.0, 1.0, -1.0):
                    found = estimator.observe({**job(5, 5), key: value}, now)
                    self.assertGreaterEqual(found.remaining, 0)
