# SPDX-License-Identifier: Apache-2.0

"""Nova's stop waits for what comes here, and for nothing that has come."""

from nova.compute import task_states
import oslo_messaging as messaging

from nova_throttle.tests.functional import test_arrival


class PendingArrivalTestCase(test_arrival.UnfinishedTestCase):
    """Since 34, a destination notes that something comes to it."""

    silence = test_arrival.SilentDestinationTestCase.silence

    def setUp(self):
        super().setUp()
        self.dest = self.computes['dest'].manager
        if not hasattr(self.dest, '_pending_dest_live_migrations'):
            self.skipTest('this Nova does not wait for what comes')

    def leave_unanswered(self):
        """Migrate; the destination does not get the last message."""
        self.break_rest(self.silence)
        self.migrate(self.server)
        self.wait_arrived(self.server)
        self.assertEqual(
            {self.server['id']}, set(self.dest._pending_dest_live_migrations)
        )

    def assert_nothing_pending(self):
        self.assertEqual({}, self.dest._pending_dest_live_migrations)
        self.assertEqual({}, self.dest._in_progress_tasks)

    def test_a_late_message_that_is_declined(self):
        """A server that somebody does something with is not taken over."""
        self.leave_unanswered()
        self.set_task_state(task_states.REBOOTING)
        context, arguments = self.late[0]
        self.assertRaises(
            messaging.ExpectedException,
            getattr(self.dest, test_arrival.REST),
            context,
            **arguments,
        )
        self.assert_nothing_pending()
        self.mend_rest()
        self.retry()
        self.assertIsNotNone(self._journaled(self.server))
        self.set_task_state(task_states.MIGRATING)
        self.finish()

    def finish(self):
        self.wait_for(self.is_over_at_next_look)
        self.assert_moved(self.server)
        self.assert_nothing_pending()

    def is_over_at_next_look(self):
        self.retry()
        return self._journaled(self.server) is None

    def test_a_message_that_never_comes(self):
        self.leave_unanswered()
        self.look('dest')
        self.mend_rest()
        self.finish()

    def test_what_still_comes_is_waited_for(self):
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.look('dest')
        self.assertEqual(
            {self.server['id']}, set(self.dest._pending_dest_live_migrations)
        )
        self.guests.release(self.server)
        self.assert_moved(self.server)
        self.assert_nothing_pending()
