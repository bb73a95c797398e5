# SPDX-License-Identifier: Apache-2.0

"""No more are prepared at a time than the link needs."""

import threading

import fixtures
import testtools

from nova_throttle.transfer import ahead

PATIENCE = 60


class AheadTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.transfer.ahead.LONGEST', PATIENCE
            )
        )
        self.ahead = ahead.Ahead()
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.threads = []
        self.addCleanup(self.end_all)

    def prepare(self, count):
        for _ in range(count):
            thread = threading.Thread(target=self.one, daemon=True)
            self.threads.append(thread)
            thread.start()

    def one(self):
        with self.ahead.turn():
            self.begun.release()
            self.may_end.acquire()
        self.ended.release()

    def end(self):
        self.may_end.release()
        self.assertTrue(self.ended.acquire(timeout=PATIENCE))

    def end_all(self):
        for _ in self.threads:
            self.may_end.release()
        for thread in self.threads:
            thread.join(PATIENCE)

    def wait_begun(self, count):
        for _ in range(count):
            self.assertTrue(self.begun.acquire(timeout=PATIENCE))
        self.assertFalse(self.begun.acquire(blocking=False))

    def test_two_at_a_time_and_each_end_lets_one_in(self):
        self.prepare(4)
        self.wait_begun(2)
        self.end()
        self.wait_begun(1)
        self.end()
        self.wait_begun(1)

    def test_more_if_the_link_runs_dry(self):
        self.prepare(2)
        self.wait_begun(2)
        self.ahead.note_prepared(False)
        self.assertEqual(2, self.ahead.number)
        self.prepare(3)
        self.wait_for_line(3)
        self.ahead.note_prepared(True)
        self.assertEqual(2, self.ahead.number)
        self.ahead.note_prepared(False)
        self.assertEqual(4, self.ahead.number)
        self.wait_begun(2)

    def wait_for_line(self, count):
        deadline = fixtures.Timeout(PATIENCE, gentle=True)
        with deadline:
            while self.ahead._waiting < count:
                threading.Event().wait(0.01)

    def test_the_first_of_a_drain_always_finds_it_idle(self):
        for _ in range(3):
            self.prepare(2)
            self.wait_begun(2)
            self.prepare(1)
            self.wait_for_line(1)
            self.ahead.note_prepared(False)
            for _ in range(3):
                self.end()
            self.begun.acquire()
        self.assertEqual(ahead.FIRST, self.ahead.number)

    def test_one_that_hangs_keeps_nobody_for_ever(self):
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.transfer.ahead.LONGEST', 0)
        )
        self.prepare(5)
        self.wait_begun(5)
