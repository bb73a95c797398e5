# SPDX-License-Identifier: Apache-2.0

import types

import hypothesis
from hypothesis import strategies as st
import testtools

from nova_throttle.outcome import reception
from nova_throttle.outcome import verdict
from nova_throttle.outcome import words

Reception = reception.Reception
Sight = verdict.Sight


def servers(**values):
    """Return the servers that there may be, of which something is known."""
    anything = {
        'host': st.sampled_from(('src', 'here', 'other')),
        'task_state': st.sampled_from(
            (None, words.MIGRATING, 'image_snapshot')
        ),
        'vm_state': st.sampled_from(('active', 'paused', 'error', 'stopped')),
    }
    known = {name: st.just(value) for name, value in values.items()}
    return st.builds(types.SimpleNamespace, **{**anything, **known})


_ENDS_IT = (Reception.DONE, Reception.OLD_NEWS)


class ReceptionTestCase(testtools.TestCase):
    def receive(self, server, comes, sight=Sight.RUNS):
        return reception.receive('here', 'src', server, comes, lambda: sight)

    @hypothesis.given(servers(host='src'), st.booleans())
    def test_a_server_that_nobody_took_over_is_not_done(self, server, comes):
        found = self.receive(server, comes)
        self.assertNotIn(found, _ENDS_IT)

    @hypothesis.given(servers(host='here', task_state='image_snapshot'))
    def test_a_server_that_is_busy_here_is_not_done(self, server):
        found = self.receive(server, comes=True)
        self.assertIs(Reception.NOT_NOW, found)

    @hypothesis.given(servers(host='src') | servers(host='other'))
    def test_one_that_does_not_come_is_not_taken_from_elsewhere(self, server):
        found = self.receive(server, comes=False)
        self.assertIn(found, (Reception.OLD_NEWS, Reception.NOT_NOW))

    @hypothesis.given(servers(task_state=words.MIGRATING))
    def test_another_migration_is_not_finished_for_it(self, server):
        found = self.receive(server, comes=False)
        self.assertIn(found, (Reception.OLD_NEWS, Reception.NOT_NOW))

    @hypothesis.given(servers(host='src'))
    def test_a_guest_that_is_not_here_yet_is_not_taken_over(self, server):
        for sight in (Sight.MOVES, Sight.ABSENT):
            found = self.receive(server, True, sight)
            self.assertIs(Reception.NOT_NOW, found)

    @hypothesis.given(servers(task_state=words.MIGRATING))
    def test_one_that_comes_and_migrates_is_finished(self, server):
        found = self.receive(server, comes=True)
        self.assertIs(Reception.FINISH, found)
