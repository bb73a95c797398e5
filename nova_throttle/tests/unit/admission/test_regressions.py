# SPDX-License-Identifier: Apache-2.0

"""Bugs that the core once had, one test each."""

from concurrent import futures

from nova_throttle.admission import standstill
from nova_throttle import exception
from nova_throttle.tests.unit.admission import base


class RegressionTestCase(base.CoreTestCase):
    def test_stale_cancel_leaves_a_successor_alone(self):
        """The name of a cancelled request came again before its callback."""
        self.make_controller(source=1)
        self.submit('first', 'source')

        def come_again(ticket):
            self.throttle.finish('first')
            self.submit('second', 'source')
            self.submit('a', 'source')

        ticket = futures.Future()
        ticket.add_done_callback(come_again)
        self.submit('a', 'source', ticket=ticket)
        ticket.cancel()
        self.assertEqual(['first', 'second'], self.started)
        self.assertEqual(['a'], self.queued())

    def test_failed_start_leaves_a_successor_alone(self):
        """The name of a request came again while its start failed."""
        self.make_controller(source=1)
        crew = base.Crew(self)

        def finish_come_again_and_fail(request):
            del self.on_start['a']
            self.throttle.finish('a')
            crew.start(self.submit, 'a', 'source')
            crew.join()
            raise ValueError

        self.on_start['a'] = finish_come_again_and_fail
        self.submit('a', 'source')
        self.assertEqual(['a', 'a'], self.started)
        self.assertEqual(('a',), self.owners('source'))

    def test_cancel_wakes_who_waits_for_the_ticket(self):
        """futures.wait() and as_completed() slept for ever."""
        self.make_controller(source=1)
        self.submit('a', 'source')
        for cancel in (
            lambda request: request.ticket.cancel(),
            lambda request: self.throttle.cancel(request.migration_uuid),
        ):
            request = self.submit('b', 'source')
            cancel(request)
            done, _ = futures.wait([request.ticket], timeout=0)
            self.assertEqual({request.ticket}, done)

    def test_cancel_before_submit_wakes_who_waits_for_the_ticket(self):
        """The same, with a cancel that came first."""
        self.make_controller(source=1)
        ticket = futures.Future()
        ticket.cancel()
        self.submit('a', 'source', ticket=ticket)
        done, _ = futures.wait([ticket], timeout=0)
        self.assertEqual({ticket}, done)

    def test_cancelled_ticket_may_come_again(self):
        """It broke submit."""
        self.make_controller(source=1)
        self.submit('a', 'source')
        request = self.submit('b', 'source')
        request.ticket.cancel()
        self.throttle.finish('a')
        self.throttle.submit(request)
        self.assertEqual(['a'], self.started)
        self.assert_idle()

    def test_gate_named_twice_needs_one_slot(self):
        """The second slot was refused with the first one taken."""
        self.make_controller(source=1)
        self.submit('a', 'source', 'source')
        self.submit('b', 'source', 'source')
        self.assertEqual(['a'], self.started)
        self.throttle.finish('a')
        self.throttle.finish('b')
        self.assertEqual(['a', 'b'], self.started)
        self.assert_idle()

    def test_used_ticket_is_refused(self):
        """It broke the call that came to admit it, whoever made that."""
        self.make_controller(source=1)
        over = self.submit('a', 'source')
        self.submit('b', 'source')
        self.throttle.finish('a')
        error = self.assertRaises(
            exception.DuplicateRequest, self.throttle.submit, over
        )
        self.assertEqual('a', error.migration_uuid)
        self.assertTrue(self.throttle.finish('b'))
        self.assert_idle()

    def test_close_stops_a_row_of_starts(self):
        """All that fitted were admitted first, and then started."""
        self.make_controller(source=1)
        self.on_start['c'] = lambda request: self.throttle.halt(
            standstill.Standstill.STOPPING
        )
        for name in 'abcdef':
            self.submit(name, 'source')
        self.throttle.resize('source', 0)
        self.assertEqual(['a', 'b', 'c'], self.started)
        self.assertEqual(['d', 'e', 'f'], self.queued())

    def test_10000_that_finish_from_start_do_not_recurse(self):
        """Each started the next from its own finish."""
        self.make_controller(source=1)
        self.submit('first', 'source')
        for number in range(10000):
            name = str(number)
            self.on_start[name] = lambda r: self.throttle.finish(
                r.migration_uuid
            )
            self.submit(name, 'source')
        self.throttle.finish('first')
        self.assertEqual(10001, len(self.started))
        self.assert_idle()

    def test_killed_start_releases_slots(self):
        """What is no Exception (a greenlet's end) kept them for ever."""

        class Killed(BaseException):
            pass

        def die(request):
            raise Killed

        self.make_controller(source=1)
        self.on_start['b'] = die
        for name in 'ab':
            self.submit(name, 'source')
        killed, after = self.throttle.waiting()[0], self.submit('c', 'source')
        self.assertRaises(Killed, self.throttle.finish, 'a')
        self.assertIsInstance(killed.ticket.exception(0), Killed)
        self.assertTrue(after.ticket.running())
        self.assertEqual(('c',), self.owners('source'))

    def test_reservation_keeps_a_slot_not_the_gate(self):
        """One that waited for its second gate idled all of the first."""
        self.make_controller(patience=0, source=3, busy=1)
        self.submit('in busy', 'busy')
        self.submit('patient', 'source', 'busy')
        for name in 'abc':
            self.submit(name, 'source')
        self.assertEqual(['in busy', 'a', 'b'], self.started)
        (wait,) = self.throttle.snapshot().queue[-1].waits_for
        self.assertEqual(
            'turn reserved for another: source (2 of 3 in progress)',
            str(wait),
        )
        self.throttle.finish('in busy')
        self.assertEqual('patient', self.started[-1])

    def test_unlimited_gate_is_never_reserved(self):
        """One that waited for its second gate idled all of the host."""
        self.make_controller(patience=0, source=0, busy=1)
        self.submit('in busy', 'busy')
        self.submit('patient', 'source', 'busy')
        for number in range(100):
            self.submit(str(number), 'source')
        self.assertEqual(['patient'], self.queued())
