# SPDX-License-Identifier: Apache-2.0

"""A slot is held until the migration is really over, for any driver."""

import contextlib
import threading

from oslo_utils import importutils

from nova_throttle.tests.functional import base

# Since 34.
thread_pool_factory = importutils.try_import('nova.thread_pool_factory')


class AnyDriverTestCase(base.ThrottleTestCase):
    def setUp(self):
        super().setUp()
        self.proceed = threading.Event()
        self.addCleanup(self.proceed.set)

    def drive(self, live_migration):
        """Replace the driver's method; returns the one of the driver."""
        original = self.src.driver.live_migration
        self.src.driver.live_migration = live_migration
        return original

    def test_that_spawns_its_own_thread_and_returns(self):
        """As Nova's libvirt driver did before 2015."""
        returned = threading.Event()

        def live_migration(*args):
            def work():
                self.proceed.wait(base.PATIENCE)
                original(*args)

            self.in_background(work)
            returned.set()

        original = self.drive(live_migration)
        a, b = self.boot(2)
        self.migrate(a, b)
        self.assertTrue(returned.wait(base.PATIENCE))
        migration = self.src.manager._parts.migrations.of_instance(a['id'])
        self.wait_for(lambda: migration.hold.awaits_callback)
        self.assertEqual((migration.record.uuid,), self.owners())
        self.assertEqual('queued', self.status(b))
        self.proceed.set()
        self.wait_status(a, 'completed')
        self.wait_status(b, 'completed')
        self.assertEqual(1, self.guests.most_running)

    def test_whose_late_callback_is_slow(self):
        """It calls back on another thread and returns meanwhile."""
        in_post = threading.Event()
        original_post = self.src.manager._post_live_migration

        def slow_post(*args, **kwargs):
            in_post.set()
            self.proceed.wait(base.PATIENCE)
            return original_post(*args, **kwargs)

        self.src.manager._post_live_migration = slow_post

        def live_migration(*args):
            self.in_background(original, *args)
            in_post.wait(base.PATIENCE)

        original = self.drive(live_migration)
        a, b = self.boot(2)
        self.migrate(a, b)
        self.assertTrue(in_post.wait(base.PATIENCE))
        migration = self.src.manager._parts.migrations.of_instance(a['id'])
        self.wait_for(lambda: migration.hold._returned)
        self.assertEqual((migration.record.uuid,), self.owners())
        self.assertEqual('queued', self.status(b))
        self.proceed.set()
        self.wait_status(b, 'completed')
        self.assert_on(a, 'dest')

    def test_whose_late_callback_fails(self):
        """Nova leaves such a migration running and the server MIGRATING."""

        def live_migration(*args):
            def work():
                with contextlib.suppress(RuntimeError):
                    original(*args)

            self.in_background(work)

        def fail(*args, **kwargs):
            raise RuntimeError('post failed')

        original = self.drive(live_migration)
        self.src.manager._post_live_migration = fail
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.assert_on(a, 'dest')

    def test_that_raises(self):
        def live_migration(*args):
            self.src.driver.live_migration = original
            raise RuntimeError('the driver failed')

        original = self.drive(live_migration)
        a, b = self.boot(2)
        self.migrate(a)
        self.migrate(b)
        self.wait_status(a, 'error')
        self.wait_status(b, 'completed')
        self.assert_on(b, 'dest')
        self.wait_for(lambda: self.owners() == ())

    def test_that_raises_while_its_callback_runs(self):
        """The slot outlives the exception until the callback is done."""
        in_rollback = threading.Event()
        manager = self.src.manager
        original_rollback = manager.network_api.setup_networks_on_host

        def slow(*args, **kwargs):
            in_rollback.set()
            self.proceed.wait(base.PATIENCE)
            return original_rollback(*args, **kwargs)

        def live_migration(context, instance, dest, post, recover, *args):
            manager.network_api.setup_networks_on_host = slow
            self.in_background(recover, context, instance, dest, args[1])
            in_rollback.wait(base.PATIENCE)
            raise RuntimeError('the driver failed')

        self.drive(live_migration)
        a, b = self.boot(2)
        self.migrate(a)
        self.assertTrue(in_rollback.wait(base.PATIENCE))
        migration = manager._parts.migrations.of_instance(a['id'])
        self.wait_for(lambda: migration.hold._returned)
        self.assertEqual((migration.record.uuid,), self.owners())
        self.proceed.set()
        self.wait_for(lambda: self.owners() == ())

    def test_that_never_calls_back_is_found_by_the_record(self):
        self.drive(lambda *args: None)
        (a,) = self.boot(1)
        self.migrate(a)
        migration = self.src.manager._parts.migrations.of_instance(a['id'])
        self.wait_for(lambda: migration.hold.awaits_callback)
        self.src.manager._parts.completion.find_lost_owners(migration.context)
        self.assertEqual((migration.record.uuid,), self.owners())
        record = self.migration(a)
        record.status = 'completed'
        record.save()
        self.src.manager._parts.completion.find_lost_owners(migration.context)
        self.assertEqual((), self.owners())


class SynchronousDriverTestCase(base.ThrottleTestCase):
    """Our libvirt driver returns when the migration is over."""

    def test_returns_after_post(self):
        (a,) = self.boot(1)
        self.guests.hold(a)
        statuses = []
        original = self.src.driver.live_migration

        def live_migration(*args):
            original(*args)
            statuses.append(self.status(a))

        self.src.driver.live_migration = live_migration
        self.migrate(a)
        self.guests.wait_running(a)
        self.assertEqual([], statuses)
        self.guests.release(a)
        self.wait_for(lambda: statuses)
        self.assertEqual(['completed'], statuses)
        self.assertEqual({}, self.src.driver._operations)

    def test_keeps_no_thread_of_novas_pool(self):
        if thread_pool_factory is None:
            self.skipTest('this Nova has no bounded pool for the driver')
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        pool = thread_pool_factory.get_executor(
            thread_pool_factory.ExecutorType.DEFAULT
        )
        stats = pool.statistics
        self.wait_for(lambda: pool.statistics.executed == stats.executed)
        busy = getattr(pool, '_workers', None)
        if busy is not None:
            self.wait_for(lambda: all(w.idle for w in pool._workers))
        self.assertIn(a['id'], self.guests.running)
