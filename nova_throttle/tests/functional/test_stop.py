# SPDX-License-Identifier: Apache-2.0

"""Once stopping has begun, nothing starts and nothing is accepted."""

from concurrent import futures
import inspect

import fixtures
from nova.compute import manager as nova_manager
from oslo_utils import uuidutils

from nova_throttle.admission import standstill
from nova_throttle.compute import compat
from nova_throttle.tests.functional import base


class StopTestCase(base.ThrottleTestCase):
    def queue_one(self):
        """Have one migration that runs and one that is queued."""
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        return a, b

    def call_hook(self, name):
        """Call one of Nova's stop hooks, if this release has it."""
        novas = getattr(nova_manager.ComputeManager, name, None)
        if novas is None:
            self.skipTest(f'this Nova has no {name}')
        # The one argument that a hook may have, beside self, is a timeout.
        _, *arguments = inspect.signature(novas).parameters
        getattr(self.src.manager, name)(*(0 for _ in arguments))

    def assert_nothing_starts(self, a, b):
        self.guests.release_all()
        self.wait_status(a, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.assertEqual([a['id']], self.guests.started)
        snapshot = self.throttle.snapshot()
        self.assertTrue(snapshot.closed)

    def test_nothing_starts_after_set_shutdown_in_progress(self):
        a, b = self.queue_one()
        self.call_hook('set_shutdown_in_progress')
        self.assert_nothing_starts(a, b)
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual('service stops', str(entry.waits_for[0]))

    def test_nothing_starts_after_graceful_shutdown(self):
        a, b = self.queue_one()
        self.call_hook('graceful_shutdown')
        self.assert_nothing_starts(a, b)

    def test_nothing_starts_after_cleanup_host(self):
        a, b = self.queue_one()
        self.call_hook('cleanup_host')
        self.assert_nothing_starts(a, b)

    def test_what_is_not_ours_is_cancelled_as_nova_does(self):
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        future = futures.Future()
        self.src.manager._waiting_live_migrations['somebody'] = (
            self.migration(a),
            future,
        )
        self.src.manager._cleanup_live_migrations_in_pool()
        self.assertTrue(future.cancelled())
        self.assertEqual({}, self.src.manager._waiting_live_migrations)

    def test_a_request_that_comes_too_late_is_refused(self):
        (a,) = self.boot(1)
        self.throttle.halt(standstill.Standstill.STOPPING)
        self.api.post_server_action(
            a['id'],
            {'os-migrateLive': {'host': 'dest', 'block_migration': 'auto'}},
        )
        self.assert_left(a, 'error')
        self.assertEqual([], self.guests.started)
        self.assertEqual('Error', self._event(a))

    def test_running_ones_are_waited_for(self):
        if not hasattr(self.src.manager, '_wait_for_in_progress_tasks'):
            self.skipTest('this Nova waits for no task')
        self.flags(manager_shutdown_timeout=60)
        a, b = self.queue_one()
        stopping = self.in_background(self.src.stop)
        self.wait_for(lambda: self.throttle.closed)
        self.assertTrue(stopping.is_alive())
        self.guests.release_all()
        stopping.join(base.PATIENCE)
        self.assertFalse(stopping.is_alive())
        self.assertEqual('completed', self.status(a))
        self.assertEqual([a['id']], self.guests.started)

    def test_a_service_that_starts_again_accepts_again(self):
        (a,) = self.boot(1)
        self.src.stop()
        self.src.start()
        self.migrate(a)
        self.wait_status(a, 'completed')


class NoThreadTestCase(base.ThrottleTestCase):
    """The process can't have another thread."""

    def fail_once(self, is_meant):
        """Have the first thread that is meant not start."""
        original = compat.spawn_n
        failed = []

        def spawn_n(context, name, *args):
            if is_meant(name) and not failed:
                failed.append(name)
                raise RuntimeError("can't start new thread")
            return original(context, name, *args)

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.compat.spawn_n', spawn_n
            )
        )
        return failed

    def test_the_request_leaves_and_the_next_one_starts(self):
        a, b = self.boot(2)
        # A worker is called like its migration.
        self.fail_once(uuidutils.is_uuid_like)
        self.migrate_and_ignore(a)
        self.assert_left(a, 'error')
        self.migrate(b)
        self.wait_status(b, 'completed')

    def test_the_destination_is_asked_later(self):
        (a,) = self.boot(1)
        failed = self.fail_once(lambda name: name == 'ask')
        self.migrate_and_ignore(a)
        self.wait_for(lambda: failed)
        self.assertEqual('queued', self.status(a))
        self.flags(group='nova_throttle', housekeeping_interval=1)
        self.wait_for(lambda: self.look() or self.status(a) == 'completed')
        self.assert_on(a, 'dest')

    def migrate_and_ignore(self, server):
        self.api.post_server_action(
            server['id'],
            {'os-migrateLive': {'host': 'dest', 'block_migration': 'auto'}},
        )
