# SPDX-License-Identifier: Apache-2.0

import testtools

from nova_throttle.compute.source import hold


class HoldTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.ended = []
        self.hold = hold.Hold(lambda: self.ended.append(True))

    def test_ends_when_the_work_returns(self):
        self.assertEqual([], self.ended)
        self.hold.end_work(failed=False)
        self.assertEqual([True], self.ended)

    def test_ends_once(self):
        self.hold.end_work(failed=False)
        self.hold.expect_nothing()
        with self.hold.callback():
            pass
        self.assertEqual([True], self.ended)

    def test_waits_for_the_callback_of_a_driver_that_has_returned(self):
        self.hold.enter_driver()
        self.hold.end_work(failed=False)
        self.assertTrue(self.hold.awaits_callback)
        with self.hold.callback():
            self.assertEqual([], self.ended)
        self.assertEqual([True], self.ended)

    def test_a_driver_that_raised_calls_back_no_more(self):
        self.hold.enter_driver()
        self.hold.end_work(failed=True)
        self.assertEqual([True], self.ended)

    def test_waits_for_a_callback_that_runs(self):
        self.hold.enter_driver()
        with self.hold.callback():
            self.hold.end_work(failed=True)
            self.assertEqual([], self.ended)
        self.assertEqual([True], self.ended)

    def test_a_callback_that_fails_has_ended(self):
        self.hold.enter_driver()
        self.hold.end_work(failed=False)
        try:
            with self.hold.callback():
                raise RuntimeError('failed')
        except RuntimeError:
            pass
        self.assertEqual([True], self.ended)

    def test_a_callback_that_never_came_is_given_up(self):
        self.hold.enter_driver()
        self.hold.end_work(failed=False)
        self.hold.expect_nothing()
        self.assertEqual([True], self.ended)
