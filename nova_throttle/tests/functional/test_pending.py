# SPDX-License-Identifier: Apache-2.0

"""Nova's stop waits for what comes here, and for nothing that has come."""

from nova.compute import task_states
from nova import context as nova_context
from nova import objects

from nova_throttle.tests.functional import test_arrival


class PendingArrivalTestCase(test_arrival.ArrivalTestCase):
    """Since 34, a destination notes that something comes to it."""

    silence = test_arrival.SilentDestinationTestCase.silence

    def setUp(self):
        super().setUp()
        self.dest = self.computes['dest'].manager
        if not hasattr(self.dest, '_pending_dest_live_migrations'):
            self.skipTest('this Nova does not wait for what comes')

    def move_unanswered(self):
        """Migrate; the destination does not get the last message."""
        self.break_rest(self.silence)
        self.migrate(self.server)
        self.assert_moved(self.server)
        self.assertEqual(
            {self.server['id']}, set(self.dest._pending_dest_live_migrations)
        )

    def assert_nothing_pending(self):
        self.assertEqual({}, self.dest._pending_dest_live_migrations)
        self.assertEqual({}, self.dest._in_progress_tasks)

    def test_a_late_message_that_is_declined(self):
        self.move_unanswered()
        self.begin_something()
        ((context, arguments),) = self.late
        getattr(self.dest, test_arrival.REST)(context, **arguments)
        self.assert_nothing_pending()

    def begin_something(self):
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            instance = objects.Instance.get_by_uuid(
                cell_context, self.server['id']
            )
            instance.task_state = task_states.REBOOTING
            instance.save()

    def test_a_message_that_never_comes(self):
        self.move_unanswered()
        self.look('dest')
        self.assert_nothing_pending()

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
