# SPDX-License-Identifier: Apache-2.0

"""A fault that lasts does not fill the log."""

import fixtures
import testtools

from nova_throttle.compute import trouble as trouble_lib


class TroubleTestCase(testtools.TestCase):
    now = 0.0

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(
            fixtures.FakeLogger(format='%(levelname)s %(message)s')
        )
        self.trouble = trouble_lib.Trouble('The look', clock=lambda: self.now)

    def fail(self, seconds, words='Placement is away'):
        """Let it fail every five seconds for so long."""
        end = self.now + seconds
        while self.now < end:
            self.trouble.note(RuntimeError(words))
            self.now += 5

    def told(self):
        return [
            line
            for line in self.log.output.splitlines()
            if line.startswith(('WARNING', 'INFO'))
        ]

    def test_it_is_told_when_it_begins_and_when_it_is_over(self):
        self.fail(300)
        self.fail(200, 'Placement answers slowly')
        self.trouble.over()
        self.trouble.over()
        begin, end = self.told()
        self.assertEqual(
            'WARNING The look failed and is tried again until it works: '
            'Placement is away',
            begin,
        )
        self.assertEqual('INFO The look works again, after 500 s', end)
        self.assertEqual(1, self.log.output.count('RuntimeError'))

    def test_one_that_lasts_for_hours_is_told_again_every_ten_minutes(self):
        self.fail(2 * 3600)
        self.assertEqual(12, len(self.told()))
        self.assertEqual(
            'WARNING The look has failed for 600 s by now: Placement is away',
            self.told()[1],
        )

    def test_one_that_comes_back_is_told_again(self):
        self.fail(10)
        self.trouble.over()
        self.fail(10)
        self.assertEqual(3, len(self.told()))
