# SPDX-License-Identifier: Apache-2.0

"""Which host gets its message next."""

import testtools

from nova_throttle.agreement import outbox


class OutboxTestCase(testtools.TestCase):
    """Three senders, one of them for hosts that did not answer."""

    def setUp(self):
        super().setUp()
        self.outbox = outbox.Outbox(senders=3, silent=1)

    def send(self, *hosts):
        """Begin to send to some hosts; return to which it was begun."""
        return [self.outbox.next() for h in hosts if self.outbox.add(h)]

    def fail(self, *hosts):
        self.send(*hosts)
        for host in hosts:
            self.outbox.done(host, answered=False)
            self.assertIsNone(self.outbox.next())

    def test_as_many_as_there_are_senders(self):
        self.assertEqual(['a', 'b', 'c'], self.send('a', 'b', 'c', 'd'))
        self.outbox.done('b', answered=True)
        self.assertEqual('d', self.outbox.next())

    def test_one_message_at_a_time_to_each(self):
        self.assertEqual(['a'], self.send('a', 'a', 'a'))
        self.outbox.done('a', answered=True)
        self.assertEqual('a', self.outbox.next())
        self.outbox.done('a', answered=True)
        self.assertIsNone(self.outbox.next())
        self.assertTrue(self.outbox.idle)

    def test_silent_hosts_share_few_senders(self):
        self.fail('a', 'b')
        self.assertEqual(['a', 'c'], self.send('a', 'b', 'c'))
        self.outbox.done('c', answered=True)
        self.assertIsNone(self.outbox.next())
        # The next silent one has its turn when the first is done.
        self.outbox.done('a', answered=False)
        self.assertEqual('b', self.outbox.next())

    def test_one_that_answers_is_silent_no_more(self):
        self.fail('a', 'b')
        self.send('a')
        self.outbox.done('a', answered=True)
        self.assertIsNone(self.outbox.next())
        self.assertEqual(['b', 'a'], self.send('b', 'a'))

    def test_what_could_not_begin_stays_due(self):
        self.assertTrue(self.outbox.add('a'))
        self.outbox.give_up()
        self.assertTrue(self.outbox.add('b'))
        self.assertEqual('a', self.outbox.next())
        self.outbox.done('a', answered=True)
        self.assertEqual('b', self.outbox.next())
