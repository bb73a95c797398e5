# SPDX-License-Identifier: Apache-2.0

"""Requests meet gates, by example.

BugListTestCase has one test for each bug that admission controls are known
for. The rules that they break are proved for any interleaving by
test_properties and, on real threads, by test_threads.
"""

from concurrent import futures
import contextlib
import dataclasses
import gc
import threading
import weakref

from nova_throttle.admission import controller
from nova_throttle.admission import priority as priority_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle import exception
from nova_throttle.tests.unit.admission import base

Standstill = standstill.Standstill


class CancelledJustBefore(futures.Future):
    """Cancelled by another thread just before its admission."""

    def set_running_or_notify_cancel(self):
        # Waits for the state, not for the thread: a callback of the cancel
        # needs the lock that our caller holds.
        threading.Thread(target=self.cancel, daemon=True).start()
        with contextlib.suppress(futures.CancelledError):
            self.result(base.PATIENCE)
        return super().set_running_or_notify_cancel()


class CancelledJustAfter(futures.Future):
    """Cancelled just after its admission, before it is started."""

    def set_running_or_notify_cancel(self):
        admitted = super().set_running_or_notify_cancel()
        self.late_cancel = self.cancel()
        return admitted


class AdmittedMeanwhile(futures.Future):
    """Admitted just before it would be cancelled."""

    def cancel(self):
        self.make_room()
        return super().cancel()


class BugListTestCase(base.CoreTestCase):
    def test_no_over_grant_during_hand_over(self):
        self.make_controller(source=1)

        def barge_in(request):
            # The slot has a new owner before that one runs.
            self.assertEqual(('b',), self.owners('source'))
            self.submit('c', 'source', priority=-1)

        self.on_start['b'] = barge_in
        self.submit('a', 'source')
        self.submit('b', 'source')
        self.throttle.finish('a')
        self.assertEqual(['a', 'b'], self.started)
        self.assertEqual(('b',), self.owners('source'))
        self.assertEqual(['c'], self.queued())

    def test_no_slot_is_lost_on_cancel(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        cancelled = self.submit('b', 'source')
        raced = self.submit('c', 'source', ticket=CancelledJustBefore())
        self.submit('d', 'source')
        self.assertTrue(cancelled.ticket.cancel())
        self.throttle.finish('a')
        self.assertTrue(raced.ticket.cancelled())
        self.assertEqual(['a', 'd'], self.started)
        self.assertEqual(('d',), self.owners('source'))

    def test_resize_wakes_waiters(self):
        self.make_controller(source=1)
        for name in 'abcdef':
            self.submit(name, 'source')
        self.throttle.resize('source', 3)
        self.assertEqual(list('abc'), self.started)
        self.throttle.resize('source', 0)
        self.assertEqual(list('abcdef'), self.started)

    def test_no_over_grant_when_raised_while_over_subscribed(self):
        self.make_controller(source=4)
        for name in 'abcdef':
            self.submit(name, 'source')
        self.throttle.resize('source', 1)
        self.assertEqual(tuple('abcd'), self.owners('source'))
        self.throttle.resize('source', 2)
        self.throttle.finish('a')
        self.throttle.finish('b')
        self.assertEqual(list('abcd'), self.started)
        self.throttle.finish('c')
        self.assertEqual(list('abcde'), self.started)
        self.assertEqual(('d', 'e'), self.owners('source'))

    def test_no_waiter_leaks_on_cancel(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        tickets = []
        for number in range(1000):
            request = self.submit(str(number), 'source')
            request.ticket.cancel()
            tickets.append(weakref.ref(request.ticket))
        del request
        gc.collect()
        self.assertEqual([], self.queued())
        self.assertEqual(0, sum(t() is not None for t in tickets))

    def test_few_waiters_are_kept_behind_one_that_stays(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.submit('b', 'source')
        tickets = []
        for number in range(1000):
            request = self.submit(str(number), 'source')
            request.ticket.cancel()
            tickets.append(weakref.ref(request.ticket))
        del request
        gc.collect()
        self.assertEqual(['b'], self.queued())
        self.assertLess(sum(t() is not None for t in tickets), 3)

    def test_limit_zero_is_unlimited(self):
        self.make_controller(source=0)
        for number in range(1000):
            self.submit(str(number), 'source')
        self.assertEqual(1000, len(self.started))
        self.throttle.resize('source', 1)
        self.submit('late', 'source')
        for number in range(999):
            self.throttle.finish(str(number))
        self.assertEqual(['late'], self.queued())
        self.throttle.finish('999')
        self.assertEqual(('late',), self.owners('source'))

    def test_double_release_frees_one_slot(self):
        self.make_controller(source=1)
        for name in 'abc':
            self.submit(name, 'source')
        self.assertTrue(self.throttle.finish('a'))
        self.assertFalse(self.throttle.finish('a'))
        self.assertEqual(['a', 'b'], self.started)
        self.assertEqual(('b',), self.owners('source'))

    def test_release_after_owner_was_reaped(self):
        self.make_controller(source=1)
        for name in 'abc':
            self.submit(name, 'source')
        lost = exception.ThrottleError()
        self.throttle.finish('a', lost)
        self.assertFalse(self.throttle.finish('a'))
        self.assertEqual(('b',), self.owners('source'))
        self.assertEqual(['c'], self.queued())

    def test_cancel_just_before_admission_wins(self):
        self.make_controller(source=1)
        raced = self.submit('a', 'source', ticket=CancelledJustBefore())
        self.assertTrue(raced.ticket.cancelled())
        self.assertEqual([], self.started)
        self.assert_idle()

    def test_cancel_just_after_admission_loses(self):
        self.make_controller(source=1)
        raced = self.submit('a', 'source', ticket=CancelledJustAfter())
        self.assertFalse(raced.ticket.late_cancel)
        self.assertEqual(['a'], self.started)
        self.assertEqual(('a',), self.owners('source'))


class StartTestCase(base.CoreTestCase):
    def test_starts_at_once_if_there_is_room(self):
        self.make_controller(source=1)
        request = self.submit('a', 'source')
        self.assertEqual(['a'], self.started)
        self.assertTrue(request.ticket.running())

    def test_ticket_is_running_when_start_is_called(self):
        self.make_controller(source=1)
        states = []
        self.on_start['a'] = lambda r: states.append(r.ticket.running())
        self.submit('a', 'source')
        self.assertEqual([True], states)

    def test_failure_releases_slots_and_sets_exception(self):
        self.make_controller(source=1, other=1)
        error = ValueError()

        def fail(request):
            raise error

        self.on_start['b'] = fail
        self.submit('a', 'source')
        failed = self.submit('b', 'source', 'other')
        self.submit('c', 'source', 'other')
        self.throttle.finish('a')
        self.assertIs(error, failed.ticket.exception(0))
        self.assertEqual(['a', 'b', 'c'], self.started)
        self.assertEqual(('c',), self.owners('source'))
        self.assertEqual(('c',), self.owners('other'))
        self.assertFalse(self.throttle.finish('b'))

    def test_10000_failures_do_not_recurse(self):
        error = ValueError()

        def start(grant):
            if grant.request.migration_uuid != 'first':
                raise error

        self.throttle = controller.Controller({'s': {'source': 1}}, start)
        self.submit('first', 'source')
        requests = [self.submit(str(n), 'source') for n in range(10000)]
        self.throttle.finish('first')
        self.assertEqual({error}, {r.ticket.exception(0) for r in requests})
        self.assert_idle()

    def test_failure_after_finish_is_harmless(self):
        self.make_controller(source=1)

        def finish_and_fail(request):
            self.throttle.finish('a')
            raise ValueError

        self.on_start['a'] = finish_and_fail
        request = self.submit('a', 'source')
        self.assertIsNone(request.ticket.result(0))
        self.assert_idle()

    def test_no_lock_is_held_during_start(self):
        self.make_controller(source=1)
        crew = base.Crew(self)

        def start(request):
            crew.start(self.throttle.snapshot)
            crew.join()

        self.on_start['a'] = start
        self.submit('a', 'source')
        self.assertEqual(['a'], self.started)

    def test_other_threads_start_meanwhile(self):
        self.make_controller(source=2)
        crew = base.Crew(self)

        def start(request):
            crew.start(self.submit, 'b', 'source')
            crew.join()
            self.assertEqual(['a', 'b'], self.started)

        self.on_start['a'] = start
        request = self.submit('a', 'source')
        self.assertTrue(request.ticket.running())

    def test_submit_from_start(self):
        self.make_controller(source=2)
        self.on_start['a'] = lambda r: self.submit('b', 'source')
        self.submit('a', 'source')
        self.assertEqual(['a', 'b'], self.started)


class FinishTestCase(base.CoreTestCase):
    def test_result_of_ticket(self):
        self.make_controller(source=1)
        request = self.submit('a', 'source')
        self.throttle.finish('a')
        self.assertIsNone(request.ticket.result(0))

    def test_error_of_ticket(self):
        self.make_controller(source=1)
        error = ValueError()
        request = self.submit('a', 'source')
        self.throttle.finish('a', error)
        self.assertIs(error, request.ticket.exception(0))

    def test_what_is_queued_or_unknown_is_not_finished(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.submit('b', 'source')
        self.assertFalse(self.throttle.finish('b'))
        self.assertFalse(self.throttle.finish('unknown'))
        self.assertEqual(('a',), self.owners('source'))
        self.assertEqual(['b'], self.queued())

    def test_one_finish_starts_all_that_fit(self):
        self.make_controller(x=1, y=1)
        self.submit('a', 'x', 'y')
        self.submit('b', 'x')
        self.submit('c', 'y')
        self.throttle.finish('a')
        self.assertEqual(['a', 'b', 'c'], self.started)

    def test_from_start(self):
        self.make_controller(source=1)
        self.on_start['b'] = lambda r: self.throttle.finish('b')
        for name in 'abc':
            self.submit(name, 'source')
        self.throttle.finish('a')
        self.assertEqual(['a', 'b', 'c'], self.started)
        self.assertEqual(('c',), self.owners('source'))

    def test_submit_from_a_ticket_callback(self):
        self.make_controller(source=1)
        request = self.submit('a', 'source')
        request.ticket.add_done_callback(
            lambda ticket: self.submit('a', 'source')
        )
        self.throttle.finish('a')
        self.assertEqual(['a', 'a'], self.started)
        self.assertEqual(('a',), self.owners('source'))


class CancelTestCase(base.CoreTestCase):
    def test_by_name(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        waiting = self.submit('b', 'source')
        self.assertTrue(self.throttle.cancel('b'))
        self.assertTrue(waiting.ticket.cancelled())
        self.throttle.finish('a')
        self.assertEqual(['a'], self.started)
        self.assert_idle()

    def test_by_ticket(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        waiting = self.submit('b', 'source')
        self.assertTrue(waiting.ticket.cancel())
        self.assertEqual([], self.queued())
        self.assertFalse(self.throttle.cancel('b'))

    def test_what_runs_or_is_unknown_is_not_cancelled(self):
        self.make_controller(source=1)
        running = self.submit('a', 'source')
        self.assertFalse(self.throttle.cancel('a'))
        self.assertFalse(running.ticket.cancel())
        self.assertFalse(self.throttle.cancel('unknown'))
        self.throttle.finish('a')
        self.assertFalse(self.throttle.cancel('a'))

    def test_what_starts_just_before_is_not_cancelled(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        ticket = AdmittedMeanwhile()
        ticket.make_room = lambda: self.throttle.finish('a')
        self.submit('b', 'source', ticket=ticket)
        self.assertFalse(self.throttle.cancel('b'))
        self.assertEqual(['a', 'b'], self.started)

    def test_before_submit(self):
        for limit in (0, 1):
            self.make_controller(source=limit)
            ticket = futures.Future()
            ticket.cancel()
            self.submit('a', 'source', ticket=ticket)
            self.assertEqual([], self.started)
            self.assert_idle()

    def test_from_a_ticket_callback(self):
        self.make_controller(source=1)
        running = self.submit('a', 'source')
        for name in 'bc':
            self.submit(name, 'source')
        running.ticket.add_done_callback(
            lambda ticket: self.throttle.cancel('c')
        )
        self.throttle.finish('a')
        self.throttle.finish('b')
        self.assertEqual(['a', 'b'], self.started)
        self.assert_idle()

    def test_from_the_callback_of_a_cancel(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        first = self.submit('b', 'source')
        self.submit('c', 'source')
        first.ticket.add_done_callback(
            lambda ticket: self.throttle.cancel('c')
        )
        first.ticket.cancel()
        self.assertEqual([], self.queued())

    def test_from_start(self):
        self.make_controller(source=2)
        self.on_start['b'] = lambda r: self.throttle.cancel('c')
        self.submit('x', 'source')
        self.submit('y', 'source')
        for name in 'bcd':
            self.submit(name, 'source')
        self.throttle.finish('x')
        self.throttle.finish('y')
        self.assertEqual(['x', 'y', 'b', 'd'], self.started)

    def test_frees_the_turn_that_was_reserved(self):
        self.make_controller(patience=0, x=1, y=1)
        self.submit('a', 'x')
        keeper = self.submit('b', 'y', 'x')
        self.submit('c', 'y')
        self.assertEqual(['a'], self.started)
        keeper.ticket.cancel()
        self.assertEqual(['a', 'c'], self.started)


class RefusalTestCase(base.CoreTestCase):
    def test_duplicates(self):
        self.make_controller(source=1)
        for name in 'ab':
            self.submit(name, 'source')
        for name in 'ab':
            error = self.assertRaises(
                exception.DuplicateRequest, self.submit, name, 'source'
            )
            self.assertEqual(name, error.migration_uuid)
        self.assertEqual(['a'], self.started)
        self.assertEqual(['b'], self.queued())

    def test_a_name_may_come_again_after_its_end(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.throttle.finish('a')
        self.submit('a', 'source')
        self.assertEqual(['a', 'a'], self.started)

    def test_unknown_gate(self):
        self.make_controller(source=1)
        error = self.assertRaises(
            exception.UnknownGate, self.submit, 'a', 'source', 'moon'
        )
        self.assertEqual('moon', error.gate)
        self.assert_idle()
        self.assertRaises(
            exception.UnknownGate, self.throttle.resize, 'moon', 1
        )

    def test_negative_limit(self):
        self.assertRaises(
            exception.InvalidLimit, self.make_controller, source=-1
        )
        self.make_controller(source=1)
        error = self.assertRaises(
            exception.InvalidLimit, self.throttle.resize, 'source', -1
        )
        self.assertEqual(('source', -1), (error.gate, error.limit))
        self.assertEqual(1, self.throttle.snapshot().gates['source'].limit)


class CloseTestCase(base.CoreTestCase):
    def setUp(self):
        super().setUp()
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.waiting = self.submit('b', 'source')
        self.throttle.halt(Standstill.STOPPING)

    def test_nothing_is_accepted(self):
        error = self.assertRaises(
            exception.AdmissionClosed, self.submit, 'c', 'source'
        )
        self.assertEqual('c', error.migration_uuid)
        self.assertTrue(self.throttle.closed)

    def test_nothing_starts(self):
        self.throttle.resize('source', 0)
        self.assertTrue(self.throttle.finish('a'))
        self.assertEqual(['a'], self.started)
        self.assertEqual(['b'], self.queued())

    def test_what_waits_can_be_cancelled(self):
        self.assertTrue(self.waiting.ticket.cancel())
        self.assertEqual([], self.queued())
        self.assertEqual(['a'], self.started)

    def test_twice(self):
        self.throttle.halt(Standstill.STOPPING)
        self.assertTrue(self.throttle.closed)

    def test_open_starts_what_waits(self):
        self.throttle.finish('a')
        self.throttle.resume(Standstill.STOPPING)
        self.assertFalse(self.throttle.closed)
        self.assertEqual(['a', 'b'], self.started)
        self.submit('c', 'source')
        self.assertEqual(['c'], self.queued())


class OrderTestCase(base.CoreTestCase):
    def test_priority_then_arrival(self):
        self.make_controller(source=1)
        self.submit('running', 'source')
        for name, priority in zip('abcdef', (5, 0, 5, -1, 0, -1), strict=True):
            self.submit(name, 'source', priority=priority)
        self.assertEqual(list('dfbeac'), self.queued())
        for name in 'dfbeac':
            self.throttle.finish(self.started[-1])
            self.assertEqual(name, self.started[-1])

    def test_a_priority_is_a_head_start(self):
        """Nobody waits for ever behind a better priority."""
        self.patch(priority_lib, 'HEAD_START', 2)
        self.make_controller(source=1)
        self.submit('running', 'source')
        self.submit('patient', 'source')
        for name in 'abcd':
            self.submit(name, 'source', priority=-1)
        self.assertEqual(['a', 'patient', 'b', 'c', 'd'], self.queued())

    def test_another_priority_keeps_the_arrival(self):
        self.make_controller(source=1)
        for name in 'abcd':
            self.submit(name, 'source')
        self.throttle.change('d', priority=-1)
        self.throttle.change('b', priority=1)
        self.assertEqual(list('dcb'), self.queued())
        for name in 'bd':
            self.throttle.change(name, priority=0)
        self.assertEqual(list('bcd'), self.queued())

    def test_one_that_is_held_keeps_its_position(self):
        self.make_controller(source=1)
        for name in 'abc':
            self.submit(name, 'source')
        self.throttle.change('b', held=True)
        self.throttle.finish('a')
        self.assertEqual(['a', 'c'], self.started)
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual('held by an operator', str(entry.waits_for[0]))
        self.submit('d', 'source')
        self.throttle.change('b', held=False)
        self.throttle.finish('c')
        self.assertEqual(['a', 'c', 'b'], self.started)

    def test_one_that_is_held_is_not_next_in_line(self):
        """What is read of it ahead would be of no use."""
        self.make_controller(source=1)
        for name in 'abc':
            self.submit(name, 'source')
        self.throttle.change('b', held=True)
        (request,) = self.throttle.next_in_line(2)
        self.assertEqual('c', request.migration_uuid)

    def test_one_that_is_held_can_be_cancelled(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        request = self.submit('b', 'source')
        self.throttle.change('b', held=True)
        self.assertTrue(request.ticket.cancel())
        self.throttle.finish('a')
        self.assert_idle()

    def test_what_does_not_wait_is_not_changed(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        for name in ('a', 'unknown'):
            self.assertRaises(
                exception.NotQueued, self.throttle.change, name, priority=1
            )

    def test_arrival_is_stable_across_lanes(self):
        self.make_controller(x=1, y=1)
        self.submit('running', 'x', 'y')
        self.submit('a', 'y', 'x')
        self.submit('b', 'x', 'y')
        self.submit('c', 'y', 'x')
        for name in 'abc':
            self.throttle.finish(self.started[-1])
            self.assertEqual(name, self.started[-1])

    def test_no_head_of_line_blocking_across_lanes(self):
        self.make_controller(source=10, busy=1, idle=1)
        self.submit('a', 'busy', 'source')
        self.submit('b', 'busy', 'source', priority=-1)
        self.submit('c', 'busy', 'source')
        self.submit('d', 'idle', 'source')
        self.assertEqual(['a', 'd'], self.started)
        self.assertEqual(['b', 'c'], self.queued())

    def test_cancel_in_the_middle_keeps_the_order(self):
        self.make_controller(source=1)
        self.submit('running', 'source')
        for name in 'abcdefgh':
            self.submit(name, 'source')
        for name in 'aceg':
            self.throttle.cancel(name)
        self.assertEqual(list('bdfh'), self.queued())
        for name in 'bdfh':
            self.throttle.finish(self.started[-1])
            self.assertEqual(name, self.started[-1])


class ReservationTestCase(base.CoreTestCase):
    """Who is overtaken too often has its turn kept."""

    def test_turn_comes_after_patience(self):
        self.make_controller(patience=3, x=1, y=1)
        self.submit('in x', 'x')
        self.submit('in y', 'y')
        self.submit('both', 'x', 'y')
        for number in range(9):
            self.submit(f'y{number}', 'y')
        for _ in range(3):
            self.throttle.finish(self.started[-1])
        # It waits for x, the scarcest, and overtakers still come by.
        self.throttle.finish(self.started[-1])
        self.assertEqual('y3', self.started[-1])
        self.throttle.finish('in x')
        # Now x is kept for it, and y too.
        self.throttle.finish('y3')
        self.assertEqual('both', self.started[-1])

    def test_patience_has_an_end(self):
        self.make_controller(patience=3, x=2, y=1)
        self.submit('in y', 'y')
        self.submit('both', 'x', 'y')
        for number in range(9):
            self.submit(f'x{number}', 'x')
        self.throttle.finish('x0')
        self.assertEqual('x2', self.started[-1])
        self.throttle.finish('x1')
        # One slot of x stays free for it, and one only.
        self.assertEqual('x2', self.started[-1])
        self.throttle.finish('x2')
        self.assertEqual(('x3',), self.owners('x'))
        self.throttle.finish('in y')
        self.assertEqual(('x3', 'both'), self.owners('x'))

    def test_busy_destination_does_not_idle_the_source(self):
        self.make_controller(patience=1, source=2, busy=1, idle=0)
        self.submit('in busy', 'busy')
        self.submit('a', 'busy', 'source')
        for number in range(20):
            self.submit(f'other{number}', 'idle', 'source')
        for number in range(18):
            self.throttle.finish(f'other{number}')
            self.assertEqual(2, len(self.owners('source')))
        self.assertEqual(['a'], self.queued())

    def test_only_overtaking_at_its_own_gates_counts(self):
        self.make_controller(patience=1, x=1, y=0, z=1)
        for gate in 'xz':
            self.submit(f'in {gate}', gate)
        self.submit('patient', 'x', 'z')
        for number in range(9):
            self.submit(f'y{number}', 'y')
        self.throttle.finish('in x')
        self.submit('a', 'x')
        self.assertEqual('a', self.started[-1])

    def test_every_gate_that_has_a_slot_is_kept(self):
        self.make_controller(patience=0, x=1, y=1, z=1)
        self.submit('in z', 'z')
        self.submit('patient', 'x', 'y', 'z')
        for gate in 'xyz':
            self.submit(gate, gate)
        self.throttle.finish('in z')
        self.assertEqual(['in z', 'patient'], self.started)

    def test_waits_as_long_as_its_own_gate_is_full(self):
        self.make_controller(patience=0, x=1, y=1)
        self.submit('in x', 'x')
        self.submit('a', 'x', 'y')
        self.submit('b', 'y')
        self.assertEqual(['in x', 'b'], self.started)


class SnapshotTestCase(base.CoreTestCase):
    def test_content(self):
        clock = iter([10.0, 12.0, 15.0])
        self.throttle = controller.Controller(
            {'s': {'source': 1, 'moon': 0}}, bool, clock=lambda: next(clock)
        )
        self.submit('a', 'source', 'moon')
        self.submit('b', 'source', 'moon', priority=3)
        snapshot = self.throttle.snapshot()
        self.assertEqual(
            {
                'source': snapshot_lib.GateState('source', 1, ('a',)),
                'moon': snapshot_lib.GateState('moon', 0, ('a',)),
            },
            dict(snapshot.gates),
        )
        self.assertEqual(
            (
                snapshot_lib.QueueEntry(
                    migration_uuid='b',
                    instance_uuid='instance of b',
                    destination='elsewhere',
                    priority=3,
                    position=1,
                    seconds_waited=3.0,
                    waits_for=(
                        snapshot_lib.Wait(
                            snapshot_lib.WaitReason.GATE_FULL,
                            'source',
                            1,
                            ('a',),
                        ),
                    ),
                ),
            ),
            snapshot.queue,
        )
        self.assertFalse(snapshot.closed)

    def test_is_frozen(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.submit('b', 'source')
        snapshot = self.throttle.snapshot()
        for value, field in (
            (snapshot, 'queue'),
            (snapshot.queue[0], 'position'),
            (snapshot.gates['source'], 'limit'),
            (snapshot.queue[0].waits_for[0], 'gate'),
        ):
            self.assertRaises(
                dataclasses.FrozenInstanceError, setattr, value, field, 1
            )
        with self.assertRaises(TypeError):
            snapshot.gates['source'] = None
        self.throttle.resize('source', 0)
        self.assertEqual(1, snapshot.gates['source'].limit)
        self.assertEqual(('a',), snapshot.gates['source'].owners)
        self.assertEqual('b', snapshot.queue[0].migration_uuid)

    def test_waits_for_every_gate_that_is_full(self):
        self.make_controller(x=1, y=1, z=1)
        self.submit('in x', 'x')
        self.submit('in y', 'y')
        self.submit('a', 'x', 'y', 'z')
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual(
            [
                'gate full: x (1 of 1 in progress)',
                'gate full: y (1 of 1 in progress)',
            ],
            [str(wait) for wait in entry.waits_for],
        )

    def test_waits_for_a_reserved_turn(self):
        self.make_controller(patience=0, x=1, y=1)
        self.submit('in x', 'x')
        self.submit('keeper', 'y', 'x')
        self.submit('behind', 'y')
        keeper, behind = self.throttle.snapshot().queue
        self.assertEqual(
            ['gate full: x (1 of 1 in progress)'],
            [str(wait) for wait in keeper.waits_for],
        )
        self.assertEqual(
            ['turn reserved for another: y (0 of 1 in progress)'],
            [str(wait) for wait in behind.waits_for],
        )

    def test_waits_for_nothing_once_closed(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.submit('b', 'source')
        self.throttle.halt(Standstill.STOPPING)
        snapshot = self.throttle.snapshot()
        self.assertTrue(snapshot.closed)
        self.assertEqual(
            ['service stops'],
            [str(wait) for wait in snapshot.queue[0].waits_for],
        )

    def test_over_subscribed_gate_is_full(self):
        self.make_controller(source=2)
        for name in 'abc':
            self.submit(name, 'source')
        self.throttle.resize('source', 1)
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual(
            ['gate full: source (2 of 1 in progress)'],
            [str(wait) for wait in entry.waits_for],
        )

    def test_repr_is_a_status_line(self):
        self.make_controller(source=1)
        self.submit('a', 'source')
        self.submit('b', 'source')
        self.assertEqual(
            '<Controller open: 1 in progress, 1 queued, '
            '[<Limiter source: 1 of 1>]>',
            repr(self.throttle),
        )
        self.throttle.halt(Standstill.STOPPING)
        self.assertIn('closed', repr(self.throttle))
