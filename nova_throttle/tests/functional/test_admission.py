# SPDX-License-Identifier: Apache-2.0

"""Live migrations are admitted as the operator set it."""

import gc
import threading

from futurist import _thread as futurist_thread
import greenlet
from nova import context as nova_context
from nova import objects
from oslo_utils import uuidutils

from nova_throttle import exception
from nova_throttle.tests.functional import base


class OneAtATimeTestCase(base.ThrottleTestCase):
    """The default limit of one."""

    def test_queued_preparing_running_completed(self):
        a, b = self.boot(2)
        seen = self.record_statuses()
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.migrate(b)
        self.assertEqual('queued', self.status(b))
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual(self.migration(b).uuid, entry.migration_uuid)
        self.assertEqual('dest', entry.destination)
        self.assertEqual(1, entry.position)
        self.assertEqual('source', entry.waits_for[0].gate)
        self.assertEqual((self.migration(a).uuid,), entry.waits_for[0].owners)
        self.guests.release(a)
        self.guests.wait_running(b)
        self.wait_status(a, 'completed')
        self.guests.release(b)
        self.wait_status(b, 'completed')
        self.assert_on(a, 'dest')
        self.assert_on(b, 'dest')
        self.assertEqual(1, self.guests.most_running)
        for server in (a, b):
            self.assertEqual(
                ['queued', 'preparing', 'running'],
                seen[self.migration(server).uuid],
            )

    def record_statuses(self):
        """Note the statuses that the source's manager sets, in order."""
        seen = {}
        original = self.src.manager._set_migration_status

        def record(migration, status):
            seen.setdefault(migration.uuid, []).append(status)
            return original(migration, status)

        self.src.manager._set_migration_status = record
        return seen

    def test_starts_in_the_order_of_arrival(self):
        servers = self.boot(4)
        self.guests.hold(*servers)
        for server in servers:
            self.migrate(server)
        for server in servers:
            self.guests.wait_running(server)
            self.guests.release(server)
        for server in servers:
            self.wait_status(server, 'completed')
        self.assertEqual([s['id'] for s in servers], self.guests.started)
        self.assertEqual(1, self.guests.most_running)

    def test_a_request_that_is_delivered_twice_runs_once(self):
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        calls = self.record_calls()
        self.migrate(b)
        ((args, kwargs),) = calls
        self.src.manager.live_migration(*args, **kwargs)
        self.assertEqual(1, len(self.throttle.snapshot().queue))
        self.guests.release(a)
        self.guests.wait_running(b)
        self.src.manager.live_migration(*args, **kwargs)
        self.wait_status(b, 'running')
        self.guests.release(b)
        self.wait_status(b, 'completed')
        self.assert_on(b, 'dest')

    def record_calls(self):
        calls = []
        original = self.src.manager._parts.intake._enqueue

        def accept(migration):
            calls.append(
                (
                    (
                        migration.context,
                        migration.destination,
                        migration.instance,
                        migration.block_migration,
                        migration.record,
                        migration.migrate_data,
                    ),
                    {},
                )
            )
            return original(migration)

        self.src.manager._parts.intake._enqueue = accept
        return calls

    def test_two_hundred_queued_requests_add_no_thread(self):
        a, b = self.boot(2)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        calls = self.record_calls()
        self.migrate(b)
        ((args, _),) = calls
        requests = [self._another_request(args) for _ in range(200)]
        self.settle()
        before = self._threads()
        for request in requests:
            self.src.manager.live_migration(*request)
        self.assertEqual(201, len(self.throttle.snapshot().queue))
        self.settle()
        self.assertLessEqual(self._threads(), before)
        for request in self.throttle.waiting():
            request.ticket.cancel()
        self.assertEqual((), self.throttle.snapshot().queue)

    @staticmethod
    def _threads():
        """Count threads, whichever kind this process has.

        But for those of the servers' own pools, which have limits.
        """
        gc.collect()
        green = sum(
            isinstance(found, greenlet.greenlet) and not found.dead
            for found in gc.get_objects()
        )
        native = sum(
            not isinstance(found, futurist_thread.ThreadWorker)
            for found in threading.enumerate()
        )
        return native + green

    def _another_request(self, args):
        """Return the arguments of a request for another server."""
        context, dest, instance, block_migration, migration, data = args
        instance = instance.obj_clone()
        instance.uuid = uuidutils.generate_uuid()
        instance.obj_reset_changes(['uuid'])
        fields = (
            'source_compute',
            'source_node',
            'dest_compute',
            'dest_node',
            'dest_compute_id',  # since 28
            'instance_uuid',
        )
        values = {
            name: getattr(migration, name)
            for name in fields
            if name in objects.Migration.fields
        }
        with nova_context.target_cell(
            nova_context.get_admin_context(), self.cell
        ) as cell_context:
            record = objects.Migration(
                cell_context,
                migration_type='live-migration',
                status='accepted',
                **values,
            )
            record.create()
        record._context = context
        return context, dest, instance, block_migration, record, data


class LimitTestCase(base.ThrottleTestCase):
    """Limits above one, and limits that change."""

    limit = 2

    def start(self, count):
        servers = self.boot(count)
        self.guests.hold(*servers)
        self.migrate(*servers)
        return servers

    def wait_in_progress(self, count):
        self.wait_for(lambda: len(self.owners()) == count)
        self.wait_for(lambda: len(self.guests.running) == count)

    def test_never_more_than_the_limit(self):
        servers = self.start(6)
        self.wait_in_progress(2)
        self.guests.release_all()
        for server in servers:
            self.wait_status(server, 'completed')
            self.assert_on(server, 'dest')
        self.assertEqual(2, self.guests.most_running)

    def test_raising_the_limit_starts_more_at_once(self):
        self.start(4)
        self.wait_in_progress(2)
        self.throttle.resize('source', 3)
        self.wait_in_progress(3)
        self.throttle.resize('source', 0)
        self.wait_in_progress(4)

    def test_lowering_the_limit_lets_present_owners_finish(self):
        a, b, c, d = self.start(4)
        self.guests.wait_running(a, b)
        self.throttle.resize('source', 1)
        self.assertEqual(2, len(self.owners()))
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.wait_in_progress(1)
        self.assertEqual('queued', self.status(c))
        self.guests.release(b)
        self.guests.wait_running(c)
        self.assertEqual('queued', self.status(d))

    def test_reset_takes_up_a_limit_from_the_configuration(self):
        self.start(3)
        self.wait_in_progress(2)
        self.flags(max_concurrent_live_migrations=3)
        self.src.manager.reset()
        self.wait_in_progress(3)

    def test_a_negative_limit_changes_nothing(self):
        self.assertRaises(
            exception.InvalidLimit, self.throttle.resize, 'source', -1
        )
        self.assertEqual(2, self.throttle.snapshot().gates['source'].limit)


class UnlimitedTestCase(base.ThrottleTestCase):
    """Zero is unlimited, also where Nova's pool has ten threads."""

    limit = 0

    def test_twelve_at_once(self):
        servers = self.boot(12)
        self.guests.hold(*servers)
        self.migrate(*servers)
        self.guests.wait_running(*servers)
        self.assertEqual(12, len(self.owners()))
        self.guests.release_all()
        for server in servers:
            self.wait_status(server, 'completed')
