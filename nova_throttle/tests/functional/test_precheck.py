# SPDX-License-Identifier: Apache-2.0

"""What is next is checked while it waits, and never on old knowledge."""

import fixtures
from nova import objects

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause


class PrecheckTestCase(base.ThrottleTestCase):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.boot(2)
        self.guests.hold(self.a)
        self.migrate(self.a)
        self.guests.wait_running(self.a)
        self.migrate(self.b)
        self.precheck = self.src.manager._parts.precheck

    def end_first(self):
        """Let the first arrive, and keep its slot until proceed is set."""
        paused = self.useFixture(
            pause.Paused(
                self.src.manager, '_post_live_migration', base.PATIENCE
            )
        )
        self.guests.release(self.a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.wait_for(lambda: self.precheck.idle)
        return paused

    def forbid_questions(self):
        """Have whatever is read before a start fail."""

        def read(*args):
            raise RuntimeError('asked')

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.source.checks.read', read
            )
        )

    def reset_state(self, server):
        instance = self.instance(server)
        instance.task_state = None
        instance.save()

    def test_a_hand_over_asks_nobody(self):
        paused = self.end_first()
        self.forbid_questions()
        paused.proceed.set()
        self.wait_status(self.b, 'completed')
        self.assert_on(self.b, 'dest')

    def test_what_has_changed_before_the_slot_is_freed_is_seen(self):
        self.reset_state(self.b)
        paused = self.end_first()
        paused.proceed.set()
        self.wait_status(self.b, 'error')
        self.assert_on(self.b, 'src')
        self.assertEqual([self.a['id']], self.guests.started)

    def test_what_was_read_is_good_for_seconds_only(self):
        paused = self.end_first()
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.compute.source.checks.GOOD', 0)
        )
        self.reset_state(self.b)
        paused.proceed.set()
        self.wait_status(self.b, 'error')
        self.assertEqual([self.a['id']], self.guests.started)

    def test_what_was_read_is_not_kept_past_the_end_of_another(self):
        (c,) = self.boot(1)
        self.guests.hold(self.b)
        self.migrate(c)
        self.end_first().proceed.set()
        self.guests.wait_running(self.b)
        self.wait_for(lambda: self.precheck.idle)
        self.reset_state(c)
        self.guests.release(self.b)
        self.wait_status(c, 'error')
        self.assertNotIn(c['id'], self.guests.started)

    def test_what_came_long_ago_is_read_again(self):
        """By its age, whichever thread admits it."""
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.source.migration.NEW', 0
            )
        )
        self.guests.release(self.a)
        self.wait_status(self.b, 'completed')
        (c,) = self.boot(1)
        accept = self.src.manager._parts.intake.accept

        def change_and_accept(migration):
            found = objects.Instance.get_by_uuid(migration.context, c['id'])
            found.task_state = None
            found.save()
            accept(migration)

        self.src.manager._parts.intake.accept = change_and_accept
        self.ask_for_migration(c)
        self.wait_status(c, 'error')
        self.assertNotIn(c['id'], self.guests.started)
