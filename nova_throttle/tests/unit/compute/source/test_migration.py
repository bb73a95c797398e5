# SPDX-License-Identifier: Apache-2.0

"""The state machine of a live migration, on its own."""

import types

from hypothesis import settings
from hypothesis import stateful
from hypothesis import strategies as st
import testtools

from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception
from nova_throttle import lifecycle

State = lifecycle.State


def make(
    publish=lambda transition: None,
    on_end=lambda migration: None,
    state=State.QUEUED,
):
    """Return a live migration without a Nova."""
    return migration_lib.LiveMigration(
        None,
        'dest',
        types.SimpleNamespace(uuid='instance'),
        False,
        types.SimpleNamespace(uuid='migration', status='running'),
        None,
        request=types.SimpleNamespace(),
        publish=publish,
        on_end=on_end,
        state=state,
    )


class LiveMigrationTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.told = []
        self.migration = make(self.told.append)

    def go_to(self, *states):
        for state in states:
            self.migration.enter(state)

    def test_tells_of_each_transition_once(self):
        self.go_to(State.PREPARING, State.PREPARING, State.PREPARED)
        self.assertEqual(
            [
                (State.QUEUED, State.PREPARING),
                (State.PREPARING, State.PREPARED),
            ],
            [(each.before, each.after) for each in self.told],
        )
        self.assertEqual('migration', self.told[0].migration_uuid)
        self.assertEqual('dest', self.told[0].destination)

    def test_an_abort_stops_it_at_its_next_step(self):
        self.go_to(State.PREPARING)
        self.assertTrue(self.migration.request_abort())
        self.assertRaises(
            exception.MigrationAborted, self.go_to, State.PREPARED
        )
        self.migration.become(State.ROLLING_BACK)

    def test_one_that_is_in_the_driver_is_the_drivers_to_abort(self):
        self.go_to(State.PREPARING, State.PREPARED)
        self.migration.drive()
        self.assertFalse(self.migration.request_abort())

    def test_it_goes_back_to_the_queue_with_another_request(self):
        again = types.SimpleNamespace()
        self.go_to(State.PREPARING)
        self.migration.put_back(again)
        self.assertIs(again, self.migration.request)
        self.assertIs(State.QUEUED, self.migration.state)

    def test_but_not_once_it_is_to_be_aborted(self):
        self.go_to(State.PREPARING)
        before = self.migration.request
        self.migration.request_abort()
        self.assertRaises(
            exception.MigrationAborted,
            self.migration.put_back,
            types.SimpleNamespace(),
        )
        self.assertIs(before, self.migration.request)
        self.assertIs(State.PREPARING, self.migration.state)

    def test_what_was_prepared_is_known_until_it_is_undone(self):
        self.assertFalse(self.migration.may_be_prepared)
        self.migration.source_bdms = []
        self.assertTrue(self.migration.may_be_prepared)
        self.migration.undone()
        self.assertFalse(self.migration.may_be_prepared)


class LiveMigrationMachine(stateful.RuleBasedStateMachine):
    """Whatever is asked of it in whatever order, the table is kept."""

    def __init__(self):
        super().__init__()
        self.path = [State.QUEUED]
        self.ended = 0
        self.aborted = False
        self.migration = make(self.note, self.end)

    def note(self, transition):
        assert transition.before is self.path[-1]
        self.path.append(transition.after)

    def end(self, migration):
        self.ended += 1

    @stateful.rule(state=st.sampled_from(State), asks=st.booleans())
    def go(self, state, asks):
        before = self.migration.state
        go = self.migration.enter if asks else self.migration.become
        try:
            go(state)
        except exception.IllegalTransition:
            assert state not in lifecycle.TRANSITIONS[before]
        except exception.MigrationAborted:
            assert asks and self.aborted
        else:
            assert not (asks and self.aborted)
            assert self.migration.state is state

    @stateful.rule()
    def drive(self):
        before = self.migration.state
        try:
            self.migration.drive()
        except exception.ThrottleError:
            assert self.migration.state is before
        else:
            assert not self.aborted

    @stateful.rule()
    def abort(self):
        if self.migration.request_abort():
            self.aborted = True
            assert self.migration.state not in (
                State.TRANSFERRING,
                State.ARRIVED,
                State.OVER,
            )

    @stateful.rule(failed=st.booleans())
    def work_returns(self, failed):
        self.migration.hold.end_work(failed)

    @stateful.rule()
    def driver_calls_back(self):
        with self.migration.hold.callback():
            ended = self.ended
        assert self.ended >= ended

    @stateful.invariant()
    def its_path_is_in_the_table(self):
        for before, after in zip(self.path, self.path[1:], strict=False):
            assert after in lifecycle.TRANSITIONS[before]

    @stateful.invariant()
    def its_slots_come_back_once(self):
        assert self.ended <= 1


LiveMigrationMachineTestCase = LiveMigrationMachine.TestCase
LiveMigrationMachineTestCase.settings = settings(
    max_examples=100, stateful_step_count=20, deadline=None
)
