# SPDX-License-Identifier: Apache-2.0

"""A message to each host, and a host that is silent holds up few threads.

Every step is an event: nothing here depends on how fast a machine is.
"""

import fixtures

from nova_throttle.compute import compat
from nova_throttle.compute import keyed_workers
from nova_throttle.tests.unit.compute import test_threads


class KeyedWorkersTestCase(test_threads.ThreadTestCase):
    """Four threads, two of them for hosts that did not answer."""

    def setUp(self):
        super().setUp()
        self.patch(keyed_workers, 'SILENT', 2)
        self.workers = keyed_workers.KeyedWorkers(
            'a-name', self.deliver, threads=4
        )
        self.addCleanup(self.assert_ended)
        # What each host does with a message: by default it answers.
        self.hosts = {}

    def deliver(self, host):
        self.seen.put(host)
        return self.hosts.get(host, bool)()

    def block(self, *hosts):
        """Have hosts be silent; returns what lets their messages fail."""
        blocked = test_threads.Blocked(self.seen)

        def silent():
            blocked()
            return False

        self.hosts.update(dict.fromkeys(hosts, silent))
        return blocked

    def post(self, *hosts):
        for host in hosts:
            self.workers.post(host)

    def wait_idle(self):
        self.assert_ended()
        self.assertTrue(self.workers.idle)

    def take(self, number):
        """Return the hosts that get a message next, in any order."""
        found = [self.next() for _ in range(number)]
        return sorted(each for each in found if each != 'begins')

    def test_each_gets_its_message_and_no_thread_is_left(self):
        self.hosts = dict.fromkeys('abc', lambda: None)
        self.post('a', 'b', 'c')
        self.assertEqual(['a', 'b', 'c'], self.take(3))
        self.wait_idle()

    def test_none_waits_behind_silent_ones(self):
        blocked = self.block('a', 'b', 'c')
        self.post('a', 'b', 'c')
        self.take(6)
        self.post('d')
        self.assertEqual('d', self.next())
        self.assertFalse(self.workers.idle)
        for _ in 'abc':
            blocked.go()
        self.wait_idle()

    def test_those_that_were_silent_share_few_threads(self):
        blocked = self.block('a', 'b', 'c')
        self.post('a', 'b', 'c')
        self.take(6)
        for _ in 'abc':
            blocked.go()
        self.wait_idle()
        # Two of three, and whatever else comes.
        self.post('a', 'b', 'c')
        self.assertEqual(['a', 'b'], self.take(4))
        self.post('d', 'e')
        self.assertEqual(['d', 'e'], self.take(2))
        blocked.go()
        self.assertEqual(['c'], self.take(2))
        blocked.go()
        blocked.go()
        self.wait_idle()

    def test_once_at_a_time_and_then_again(self):
        blocked = self.block('a')
        self.post('a')
        self.take(2)
        self.post('a', 'a')
        self.assertTrue(self.seen.empty())
        blocked.go()
        self.assertEqual(['a'], self.take(2))
        blocked.go()
        self.wait_idle()
        self.assertEqual(1, blocked.most)

    def test_what_fails_is_logged_and_the_next_is_sent(self):
        self.hosts['a'] = lambda: 1 / 0
        self.post('a')
        self.wait_idle()
        self.post('a', 'b')
        self.assertEqual(['a', 'a', 'b'], self.take(3))
        self.wait_idle()
        self.assertIn('The work for a failed', self.log.output)

    def test_without_a_thread_it_is_sent_with_the_next(self):
        with fixtures.MockPatchObject(
            compat, 'spawn_n', side_effect=RuntimeError
        ):
            self.post('a')
        self.assertFalse(self.workers.idle)
        self.post('b')
        self.assertEqual(['a', 'b'], self.take(2))
        self.wait_idle()
