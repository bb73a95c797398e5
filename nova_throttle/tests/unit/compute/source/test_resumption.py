# SPDX-License-Identifier: Apache-2.0

"""What is done with a migration that was in the driver, by the records.

The records are made up, and what would be done is noted: a guest that has
arrived is never given up (R13), and nothing is finished for a server that is
another migration's, or somewhere else, by now (R14).
"""

import types

import fixtures
import hypothesis
from hypothesis import strategies as st
import testtools

from nova_throttle.compute.source import resumption
from nova_throttle import lifecycle
from nova_throttle.outcome import standing as standing_lib
from nova_throttle.outcome import words
from nova_throttle.tests.unit.compute.source import test_migration

State = lifecycle.State

UUID = 'migration'


def record(**values):
    """Return a migration record of the server."""
    defaults = {
        'uuid': 'another',
        'migration_type': words.LIVE,
        'source_compute': 'src',
        'dest_compute': 'dest',
        'status': 'running',
        'instance_uuid': 'instance',
    }
    return types.SimpleNamespace(**{**defaults, **values})


hosts = st.sampled_from(('src', 'dest', 'other'))

records = st.builds(
    record,
    migration_type=st.sampled_from((words.LIVE, words.EVACUATION)),
    source_compute=hosts,
    dest_compute=hosts,
    status=st.sampled_from(('queued', 'running', 'completed', 'error')),
)

servers = st.none() | st.builds(
    types.SimpleNamespace,
    host=hosts,
    vm_state=st.sampled_from(('active', 'deleted')),
    task_state=st.sampled_from((None, 'migrating', 'deleting')),
)


@st.composite
def standings(draw):
    later = tuple(draw(st.lists(records, max_size=2)))
    return standing_lib.Standing(
        migration=record(uuid=UUID),
        instance=draw(servers),
        successor=draw(st.sampled_from((None, *later))),
        others=tuple(r for r in later if r.status in ('queued', 'running')),
        later=later,
    )


class Parts:
    """Notes what would be done."""

    def __init__(self, standing):
        self.done = []
        self.manager = types.SimpleNamespace(host='src', driver=None)
        self.succession = types.SimpleNamespace(standing=lambda m: standing)
        self.throttle = types.SimpleNamespace(
            finish=lambda uuid: self.done.append(('free', uuid))
        )
        self.ending = types.SimpleNamespace(
            note_arrival=lambda m: m.become(State.ARRIVED),
            finish_again=lambda m: self.done.append(('finish', m.state)),
        )
        self.cleanup = types.SimpleNamespace(
            begin=lambda m, status, reason: self.done.append(('end', status))
        )
        self.completion = types.SimpleNamespace(
            take_out=lambda m, status, error: self.done.append(
                ('end', status)
            ),
            tell=lambda m: None,
        )


class ResumptionTestCase(testtools.TestCase):
    def resume(self, state, standing):
        """Return what is done with a migration in a state."""
        parts = Parts(standing)
        migration = test_migration.make(state=state)
        migration.record = record(uuid=UUID)
        with fixtures.MonkeyPatch(
            'nova_throttle.compute.source.vacate.vacate',
            lambda *args: parts.done.append('vacate'),
        ):
            resumption.Resumption(parts)._resume_in_hand(None, migration)
        return parts.done

    @hypothesis.settings(deadline=None)
    @hypothesis.given(standings())
    def test_what_has_arrived_is_completed_whatever_the_records_say(
        self, standing
    ):
        done = self.resume(State.ARRIVED, standing)
        self.assertEqual(('end', 'completed'), done[-1])
        self.assertNotIn(('end', 'error'), done)

    @hypothesis.settings(deadline=None)
    @hypothesis.given(standings())
    def test_it_is_finished_only_where_nobody_else_has_the_server(
        self, standing
    ):
        done = self.resume(State.ARRIVED, standing)
        if ('finish', State.ARRIVED) not in done:
            self.assertIn('vacate', done)
            return
        self.assertNotIn('vacate', done)
        self.assertFalse(standing.was_evacuated)
        self.assertFalse(standing_lib.is_deleted(standing.instance))
        if standing.instance.host == 'src':
            self.assertTrue(standing.is_ours)
        else:
            self.assertEqual('dest', standing.instance.host)
            self.assertEqual((), standing.others)

    @hypothesis.settings(deadline=None)
    @hypothesis.given(standings())
    def test_what_the_destination_has_taken_over_has_arrived(self, standing):
        hypothesis.assume(standing.has_arrived('dest'))
        done = self.resume(State.TRANSFERRING, standing)
        self.assertIn(('free', UUID), done)
        self.assertEqual(('end', 'completed'), done[-1])

    @hypothesis.settings(deadline=None)
    @hypothesis.given(standings())
    def test_of_a_server_that_is_elsewhere_only_its_own_is_given_back(
        self, standing
    ):
        hypothesis.assume(not standing.has_arrived('dest'))
        hypothesis.assume(not standing.is_ours)
        self.assertEqual(
            [('end', 'error'), ('free', UUID)],
            self.resume(State.TRANSFERRING, standing),
        )
