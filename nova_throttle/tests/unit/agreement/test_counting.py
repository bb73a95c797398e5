# SPDX-License-Identifier: Apache-2.0

"""Which sources a host that starts still has to ask."""

import testtools

from nova_throttle.agreement import counting


class CountingTestCase(testtools.TestCase):
    """Silent sources are waited for thirty seconds."""

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.counting = counting.Counting(30, lambda: self.now)

    def test_without_sources_all_is_counted(self):
        self.assertEqual([], self.counting.missing([]))

    def test_each_is_asked_until_it_has_answered(self):
        self.assertEqual(['a', 'b'], self.counting.missing('ba'))
        self.assertFalse(self.counting.hear('a'))
        self.now += 5
        self.assertEqual(['b'], self.counting.missing('ab'))
        self.assertTrue(self.counting.hear('b'))
        self.assertEqual([], self.counting.missing('ab'))

    def test_the_silent_are_waited_for_once_and_together(self):
        self.counting.missing('abc')
        self.now += 29
        self.assertEqual(['a', 'b', 'c'], self.counting.missing('abc'))
        self.now += 1
        self.assertEqual([], self.counting.missing('abc'))

    def test_the_time_is_not_begun_again_by_one_that_comes_later(self):
        self.counting.missing('a')
        self.now += 20
        self.assertEqual(['a', 'b'], self.counting.missing('ab'))
        self.now += 10
        self.assertEqual([], self.counting.missing('ab'))

    def test_one_that_is_gone_is_not_waited_for(self):
        self.counting.missing('ab')
        self.assertFalse(self.counting.hear('a'))
        self.assertEqual([], self.counting.missing('a'))

    def test_a_word_before_the_first_look_opens_nothing(self):
        self.assertFalse(self.counting.hear('a'))
        self.assertEqual(['b'], self.counting.missing('ab'))
