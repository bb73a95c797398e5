# SPDX-License-Identifier: Apache-2.0

"""Stages, and gates kept elsewhere, by example."""

from concurrent import futures

import testtools

from nova_throttle.admission import controller
from nova_throttle.admission import priority
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle import exception
from nova_throttle.tests.unit.admission import base

Standing = remote.Standing
Standstill = standstill.Standstill

FIRST, SECOND = 'in progress', 'transfer'
RACK = request_lib.RemoteGate('rack', 'r')
CLUSTER = request_lib.RemoteGate('cluster', 'c')


def make_request(name, *needs):
    return request_lib.Request(name, f'i-{name}', 'elsewhere', needs)


class Notes(remote.Keeper):
    """Remembers how each request stands to each gate."""

    def __init__(self):
        self.stands = {}

    def note(self, want):
        self.stands[want.request.migration_uuid, want.gate] = want.standing

    def due(self):
        return ()

    def known(self):
        return {}


class TwoStagesTestCase(base.CoreTestCase):
    """Two may be in progress, one of them on the wire."""

    def setUp(self):
        super().setUp()
        self.throttle = controller.Controller(
            {FIRST: {'source': 2}, SECOND: {'out': 1}}, self._start
        )
        self.entered = []
        for name in 'abc':
            self.throttle.submit(
                make_request(
                    name,
                    request_lib.Needs(('source',)),
                    request_lib.Needs(('out',)),
                )
            )

    def _start(self, grant):
        super()._start(grant)
        if grant.stage == SECOND:
            self.entered.append(grant.request.migration_uuid)

    def advance(self, name):
        ticket = futures.Future()
        self.throttle.advance(name, ticket)
        return ticket

    def test_who_waits_for_the_second_owns_the_first(self):
        self.assertTrue(self.advance('a').running())
        self.assertTrue(self.advance('b').cancelled() is False)
        self.assertEqual(['a'], self.entered)
        self.assertEqual(('a', 'b'), self.owners('source'))
        self.assertEqual(['b', 'c'], self.queued())

    def test_slots_of_a_stage_are_given_back_on_their_own(self):
        ticket = self.advance('a')
        self.advance('b')
        self.throttle.release('a', SECOND)
        self.assertIsNone(ticket.result(0))
        self.assertEqual(['a', 'b'], self.entered)
        self.assertEqual(('a', 'b'), self.owners('source'))
        self.throttle.release('a', SECOND)
        self.assertEqual(('b',), self.owners('out'))

    def test_finish_gives_back_all(self):
        ticket = self.advance('a')
        self.advance('b')
        self.assertTrue(self.throttle.finish('a'))
        self.assertIsNone(ticket.result(0))
        self.assertEqual(['a', 'b', 'b', 'c'], sorted(self.started[1:]))
        self.assertEqual(('b', 'c'), self.owners('source'))
        self.assertEqual(('b',), self.owners('out'))

    def test_cancel_is_atomic_with_the_second_stage(self):
        self.advance('a')
        ticket = self.advance('b')
        self.assertTrue(ticket.cancel())
        self.throttle.release('a', SECOND)
        self.assertEqual(['a'], self.entered)
        self.assertEqual(('a', 'b'), self.owners('source'))
        self.assertTrue(self.throttle.finish('b'))

    def test_what_is_in_progress_goes_on_in_a_pause(self):
        self.advance('a')
        self.advance('b')
        self.throttle.halt(Standstill.PAUSED)
        self.throttle.finish('a')
        self.assertEqual(['a', 'b'], self.entered)
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual(
            ('c', 'queue is paused'),
            (entry.migration_uuid, str(entry.waits_for[0])),
        )
        self.throttle.resume(Standstill.PAUSED)
        self.assertEqual(['c'], self.started[-1:])

    def test_one_in_progress_can_be_promoted_and_not_held(self):
        self.advance('a')
        self.throttle.resize('source', 3)
        self.advance('b')
        self.advance('c')
        self.throttle.change('c', priority=priority.Priority.PROMOTED)
        with testtools.ExpectedException(exception.NotQueued):
            self.throttle.change('c', held=True)
        self.throttle.release('a', SECOND)
        self.assertEqual(['a', 'c'], self.entered)

    def test_finish_of_one_that_waits_wakes_it(self):
        self.advance('a')
        ticket = self.advance('b')
        self.throttle.finish('b')
        self.assertTrue(ticket.done())
        self.assertEqual(('a', 'c'), self.owners('source'))

    def test_the_last_stage_may_be_entered_again(self):
        self.advance('a')
        self.throttle.release('a', SECOND)
        self.assertTrue(self.advance('a').running())
        self.assertEqual(['a', 'a'], self.entered)

    def test_the_order_of_the_stages_is_kept(self):
        with testtools.ExpectedException(exception.NotInProgress):
            self.advance('c')
        self.advance('a')
        with testtools.ExpectedException(exception.NoFurtherStage):
            self.advance('a')

    def test_a_start_that_fails_keeps_the_first_stage(self):
        error = ValueError()

        def fail(request):
            raise error

        self.on_start['a'] = fail
        ticket = self.advance('a')
        self.assertIs(error, ticket.exception(0))
        self.assertEqual(('a', 'b'), self.owners('source'))
        self.assertEqual((), self.owners('out'))

    def test_adopted_in_the_second_stage(self):
        self.throttle.adopt(
            make_request(
                'x',
                request_lib.Needs(('source',)),
                request_lib.Needs(('out',)),
            ),
            stages=2,
        )
        self.assertFalse(self.advance('a').running())
        self.throttle.finish('x')
        self.assertEqual(['a'], self.entered)

    def test_a_gate_of_another_stage_is_unknown(self):
        with testtools.ExpectedException(exception.UnknownGate):
            self.throttle.submit(
                make_request('x', request_lib.Needs(('out',)))
            )


class DeferTestCase(base.CoreTestCase):
    def setUp(self):
        super().setUp()
        self.make_controller(source=1)
        for name in 'abc':
            self.submit(name, 'source')

    def defer(self, name):
        self.throttle.defer(name, snapshot_lib.WaitReason.STARTING)

    def test_is_passed_over_and_keeps_its_position(self):
        self.defer('b')
        self.throttle.finish('a')
        self.assertEqual(['a', 'c'], self.started)
        self.submit('d', 'source')
        self.assertEqual(['b', 'd'], self.queued())
        self.throttle.defer('b', None)
        self.throttle.finish('c')
        self.assertEqual(['a', 'c', 'b'], self.started)

    def test_starts_at_once_when_it_is_told_to_go_on(self):
        self.defer('b')
        self.throttle.cancel('c')
        self.throttle.finish('a')
        self.assertEqual(['a'], self.started)
        self.throttle.defer('b', None)
        self.assertEqual(['a', 'b'], self.started)

    def test_says_why_it_waits(self):
        self.defer('b')
        first, _ = self.throttle.snapshot().queue
        self.assertEqual('service starts', str(first.waits_for[0]))


class TwoElsewhereTestCase(base.CoreTestCase):
    """A slot of this host and two slots elsewhere, all or none."""

    def setUp(self):
        super().setUp()
        self.notes = Notes()
        self.throttle = controller.Controller(
            {FIRST: {'source': 1}},
            self._start,
            keepers={'rack': self.notes, 'cluster': self.notes},
            patience=2,
        )

    def migrate(self, name):
        needs = request_lib.Needs(('source',), (RACK, CLUSTER))
        self.throttle.submit(make_request(name, needs))

    def stands(self, name='a'):
        return [self.notes.stands[name, gate] for gate in (RACK, CLUSTER)]

    def grant(self, gate, name='a'):
        self.throttle.grant(remote.Granted(name, gate))

    def refuse(self, gate, name='a'):
        self.throttle.answer(remote.Refused(name, gate))

    def test_starts_with_both(self):
        self.migrate('a')
        self.assertEqual([Standing.READY] * 2, self.stands())
        self.grant(RACK)
        self.assertEqual([], self.started)
        self.assertEqual([Standing.KEEPS, Standing.READY], self.stands())
        self.grant(CLUSTER)
        self.assertEqual(['a'], self.started)
        self.assertEqual([Standing.HOLDS] * 2, self.stands())
        self.throttle.finish('a')
        self.assertEqual([Standing.GONE] * 2, self.stands())

    def test_gives_the_one_back_when_the_other_refuses(self):
        self.migrate('a')
        self.grant(RACK)
        self.refuse(CLUSTER)
        self.assertEqual([Standing.WAITS, Standing.READY], self.stands())
        # The first is asked again once the second has a slot.
        self.grant(CLUSTER)
        self.assertEqual([Standing.READY, Standing.KEEPS], self.stands())
        self.grant(RACK)
        self.assertEqual(['a'], self.started)

    def test_gives_both_back_without_room_here(self):
        self.migrate('a')
        self.grant(RACK)
        self.throttle.adopt(base.make_request('other', 'source'))
        self.grant(CLUSTER)
        self.assertEqual([], self.started)
        self.assertEqual([Standing.WAITS] * 2, self.stands())
        self.throttle.finish('other')
        self.assertEqual([Standing.READY] * 2, self.stands())

    def test_collects_them_in_order_after_it_was_refused_often(self):
        self.migrate('a')
        for gate, other in ((RACK, CLUSTER), (CLUSTER, RACK)):
            self.grant(gate)
            self.refuse(other)
        self.assertEqual([Standing.INSISTS, Standing.WAITS], self.stands())
        self.grant(RACK)
        self.assertEqual([Standing.KEEPS, Standing.INSISTS], self.stands())
        self.grant(CLUSTER)
        self.assertEqual(['a'], self.started)

    def test_what_was_granted_is_void(self):
        self.migrate('a')
        self.grant(RACK)
        self.throttle.answer(remote.Withdrawn(RACK))
        self.grant(CLUSTER)
        self.assertEqual([], self.started)
        self.grant(RACK)
        self.assertEqual(['a'], self.started)

    def test_one_that_nobody_keeps_is_not_waited_for(self):
        self.migrate('a')
        self.throttle.answer(remote.Waived(CLUSTER, float('inf')))
        self.assertEqual([], self.started)
        self.grant(RACK)
        self.assertEqual(['a'], self.started)
        self.migrate('b')
        self.throttle.finish('a')
        self.grant(RACK, 'b')
        self.assertEqual(['a', 'b'], self.started)

    def test_a_pause_gives_back_what_is_kept(self):
        self.migrate('a')
        self.grant(RACK)
        self.throttle.halt(Standstill.PAUSED)
        self.assertEqual([Standing.WAITS] * 2, self.stands())
        self.throttle.resume(Standstill.PAUSED)
        self.assertEqual([Standing.READY] * 2, self.stands())

    def test_another_priority_gives_back_what_is_kept(self):
        self.migrate('a')
        self.grant(RACK)
        self.throttle.change('a', priority=1)
        self.assertEqual([Standing.READY] * 2, self.stands())

    def test_one_that_is_deferred_asks_for_nothing(self):
        self.migrate('a')
        self.grant(RACK)
        self.throttle.defer('a', snapshot_lib.WaitReason.STARTING)
        self.assertEqual([Standing.WAITS] * 2, self.stands())
        self.throttle.defer('a', None)
        self.assertEqual([Standing.READY] * 2, self.stands())
