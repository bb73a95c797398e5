# SPDX-License-Identifier: Apache-2.0

"""What was accepted before a restart goes on after it."""

import testtools

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle import exception
from nova_throttle.tests.unit.admission import base


Standstill = standstill.Standstill


class StandstillTestCase(base.CoreTestCase):
    """Each reason has its owner; taking one undoes no other."""

    def setUp(self):
        super().setUp()
        self.make_controller(source=1)

    def test_a_pause_that_ends_does_not_undo_a_stop(self):
        self.throttle.halt(Standstill.STOPPING)
        self.throttle.halt(Standstill.PAUSED)
        self.throttle.resume(Standstill.PAUSED)
        self.assertTrue(self.throttle.closed)
        with testtools.ExpectedException(exception.AdmissionClosed):
            self.submit('a', 'source')

    def test_nothing_starts_while_one_reason_is_left(self):
        for reason in (Standstill.STARTING, Standstill.PAUSED):
            self.throttle.halt(reason)
        self.submit('a', 'source')
        self.throttle.resume(Standstill.STARTING)
        self.assertEqual([], self.started)
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual('queue is paused', str(entry.waits_for[0]))
        self.throttle.resume(Standstill.PAUSED)
        self.assertEqual(['a'], self.started)

    def test_a_reason_that_is_put_twice_is_taken_once(self):
        for _ in range(2):
            self.throttle.halt(Standstill.PAUSED)
        self.throttle.resume(Standstill.PAUSED)
        self.submit('a', 'source')
        self.assertEqual(['a'], self.started)

    def test_a_service_that_stopped_may_start_again(self):
        self.throttle.halt(Standstill.STOPPING)
        self.throttle.resume(Standstill.STOPPING)
        self.submit('a', 'source')
        self.assertEqual(['a'], self.started)


class HoldTestCase(base.CoreTestCase):
    def setUp(self):
        super().setUp()
        self.make_controller(source=1)
        self.throttle.halt(Standstill.STARTING)

    def test_accepts_and_starts_nothing(self):
        self.submit('a', 'source')
        self.assertEqual([], self.started)
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual('service starts', str(entry.waits_for[0]))

    def test_resuming_starts_what_waits(self):
        self.submit('a', 'source')
        self.throttle.resume(Standstill.STARTING)
        self.assertEqual(['a'], self.started)

    def test_what_is_restored_goes_before_what_came_meanwhile(self):
        self.submit('new', 'source')
        for name in ('second', 'first'):
            self.throttle.resubmit(base.make_request(name, 'source'))
        self.throttle.resume(Standstill.STARTING)
        self.assertEqual(['first'], self.started)
        self.assertEqual(['second', 'new'], self.queued())

    def test_cancelling_works_meanwhile(self):
        request = self.submit('a', 'source')
        self.assertTrue(request.ticket.cancel())
        self.throttle.resume(Standstill.STARTING)
        self.assert_idle()

    def test_a_closed_throttle_keeps_what_is_restored(self):
        self.throttle.halt(Standstill.STOPPING)
        self.throttle.resubmit(base.make_request('a', 'source'))
        self.assertEqual(['a'], self.queued())
        self.assertEqual([], self.started)


class AdoptTestCase(base.CoreTestCase):
    def setUp(self):
        super().setUp()
        self.make_controller(source=1)
        self.request = base.make_request('a', 'source')
        self.throttle.adopt(self.request)

    def test_owns_its_slot(self):
        self.assertEqual(('a',), self.owners('source'))
        self.submit('b', 'source')
        self.assertEqual([], self.started)
        self.assertFalse(self.request.ticket.cancel())

    def test_finish_starts_the_next(self):
        self.submit('b', 'source')
        self.assertTrue(self.throttle.finish('a'))
        self.assertEqual(['b'], self.started)
        self.assertTrue(self.request.ticket.done())

    def test_counts_beyond_the_limit(self):
        self.throttle.adopt(base.make_request('b', 'source'))
        self.submit('c', 'source')
        self.throttle.finish('a')
        self.assertEqual([], self.started)
        self.throttle.finish('b')
        self.assertEqual(['c'], self.started)

    def test_twice_is_an_error(self):
        with testtools.ExpectedException(exception.DuplicateRequest):
            self.throttle.adopt(base.make_request('a', 'source'))
        self.assertEqual(('a',), self.owners('source'))

    def test_resubmitted_goes_first(self):
        self.submit('b', 'source')
        self.throttle.resubmit(base.make_request('a', 'source'))
        self.assertEqual(['a'], self.started)
        self.assertEqual(('a',), self.owners('source'))
        self.assertEqual(['b'], self.queued())
        self.assertTrue(self.request.ticket.done())

    def test_a_resubmission_that_is_refused_changes_nothing(self):
        with testtools.ExpectedException(exception.UnknownGate):
            self.throttle.resubmit(base.make_request('a', 'nowhere'))
        self.assertEqual(('a',), self.owners('source'))
        self.assertFalse(self.request.ticket.done())
        self.throttle.finish('a')
        self.assert_idle()


class PutBackTestCase(base.CoreTestCase):
    """One that was admitted comes back and is deferred."""

    def setUp(self):
        super().setUp()
        self.make_controller(source=1)
        self.request = self.submit('a', 'source')
        for name in 'bc':
            self.submit(name, 'source')

    def put_back(self, request, reason=snapshot_lib.WaitReason.FAILED):
        again = request_lib.renewed(request)
        self.throttle.resubmit(again, reason)
        return again

    def test_the_next_starts(self):
        self.put_back(self.request)
        self.assertEqual(['a', 'b'], self.started)
        self.assertTrue(self.request.ticket.done())

    def test_each_stands_where_it_stood(self):
        requests = [self.request]
        for name in 'de':
            requests.append(self.submit(name, 'source'))
        self.put_back(self.request)
        self.throttle.finish('b')
        self.throttle.finish('c')
        self.put_back(requests[1])
        self.put_back(requests[2])
        self.assertEqual(['a', 'd', 'e'], self.queued())

    def test_says_why_it_waits(self):
        self.put_back(self.request)
        first, *_ = self.throttle.snapshot().queue
        self.assertEqual(
            'start failed and will be tried again', str(first.waits_for[0])
        )

    def test_starts_when_it_is_told_to_go_on(self):
        self.put_back(self.request)
        self.throttle.defer('a', None)
        self.throttle.finish('b')
        self.assertEqual(['a', 'b', 'a'], self.started)
        self.assertEqual(['c'], self.queued())

    def test_is_cancelled_before_it_is_back(self):
        again = request_lib.renewed(self.request)
        self.assertTrue(again.ticket.cancel())
        self.throttle.resubmit(again)
        self.assertEqual(['a', 'b'], self.started)
        self.assertEqual(['c'], self.queued())

    def test_one_that_is_new_may_be_deferred(self):
        request = base.make_request('d', 'source')
        for name in ('a', 'b', 'c'):
            self.throttle.finish(name)
        self.throttle.submit(request, snapshot_lib.WaitReason.FAILED)
        self.assertEqual(['a', 'b', 'c'], self.started)
        self.throttle.defer('d', None)
        self.assertEqual(['a', 'b', 'c', 'd'], self.started)
