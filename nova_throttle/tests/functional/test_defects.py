# SPDX-License-Identifier: Apache-2.0

"""What Nova gets wrong, on plain Nova and with nova-throttle.

Each defect has its steps once. ``PlainNovaTestCase`` shows that they lead to
the defect, so that a Nova that mends it is noticed; ``ThrottledTestCase``
shows that they lead to what is right. Orderly stop and crash with
nova-throttle (G1 and G2) are in ``test_recovery``.
"""

import threading

from nova import context as nova_context
from nova import objects

from nova_throttle.tests.functional import base


class Defects:
    """The steps that lead to each defect."""

    def boot_with_port(self):
        port = self.neutron.create_port({'port': self.neutron.port_2})['port']
        return self.boot(1, networks=[{'port': port['id']}])[0]

    def queue_behind(self):
        """Have a migration that runs, and one that is queued behind it."""
        (a,) = self.boot(1)
        b = self.boot_with_port()
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.assertEqual('queued', self.status(b))
        return a, b

    def abort_before_the_handler_returns(self):
        """G3: the request is submitted, but Nova has no future yet."""
        (a,) = self.boot(1)
        b = self.boot_with_port()
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        target, name = self.submission()
        original = getattr(target, name)
        submitted, proceed = threading.Event(), threading.Event()
        self.addCleanup(proceed.set)

        def submit(*args, **kwargs):
            result = original(*args, **kwargs)
            submitted.set()
            proceed.wait(base.PATIENCE)
            return result

        setattr(target, name, submit)
        # Casts are calls here: it returns when the handler does.
        self.in_background(self.ask_for_migration, b)
        self.assertTrue(submitted.wait(base.PATIENCE))
        self.abort(b)
        waiting = self.src.manager._waiting_live_migrations
        self.wait_for(lambda: b['id'] not in waiting)
        proceed.set()
        self.guests.release_all()
        return b

    def fail_before_the_destination_is_asked(self):
        """G4: the first thing that is read can't be."""
        (a,) = self.boot(1)
        b = self.boot_with_port()
        local = threading.local()
        set_status = self.src.manager._set_migration_status
        get = objects.BlockDeviceMappingList.get_by_instance_uuid

        def arm(migration, status):
            set_status(migration, status)
            local.armed = status == 'preparing'

        def fail(_, *args, **kwargs):
            if getattr(local, 'armed', False):
                local.armed = False
                raise RuntimeError('the conductor does not answer')
            return get(*args, **kwargs)

        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.src.manager._set_migration_status = arm
        self.stub_out(
            'nova.objects.BlockDeviceMappingList.get_by_instance_uuid', fail
        )
        self.guests.release_all()
        self.wait_status(a, 'completed')
        return b

    def stop_while_one_is_queued(self):
        """G5: what Nova does first at SIGTERM."""
        a, b = self.queue_behind()
        self.begin_to_stop()
        self.guests.release(a)
        self.wait_status(a, 'completed')
        return a, b

    def fail_to_prepare(self):
        """G7: the destination refuses."""
        a, b = self.queue_behind()

        def refuse(*args, **kwargs):
            raise RuntimeError('the destination cannot prepare')

        dest = self.computes['dest'].manager
        setattr(dest, base.preparation(dest), refuse)
        self.guests.release_all()
        self.wait_status(b, 'failed', 'error')
        return b


class PlainNovaTestCase(Defects, base.ThrottleTestCase):
    throttled = False

    def setUp(self):
        super().setUp()
        if not hasattr(self.src.manager, '_start_recorded_task'):
            self.skipTest('what Nova does without us is shown on 34 only')
        self._futures = []
        self._submit = self.src.manager._start_recorded_task
        self.src.manager._start_recorded_task = self._note_future
        self.addCleanup(self._wait_for_futures)

    def _note_future(self, *args, **kwargs):
        self._futures.append(self._submit(*args, **kwargs))
        return self._futures[-1]

    def _wait_for_futures(self):
        """Let migrations end before the services that they talk to."""
        self.guests.release_all()
        self.wait_for(lambda: all(future.done() for future in self._futures))

    def submission(self):
        return self.src.manager, '_start_recorded_task'

    def future(self, server):
        return self.src.manager._waiting_live_migrations[server['id']][1]

    def assert_leaked(self, server):
        """Check that allocations are swapped, and the port bound twice."""
        self.assertEqual(['dest'], self.allocations(server['id']))
        uuid = self.migration(server).uuid
        self.assertEqual(['src'], self.allocations(uuid))
        bindings = [
            sorted(self.neutron._port_bindings[port['id']])
            for port in self.neutron._ports.values()
            if port.get('device_id') == server['id']
        ]
        self.assertEqual([['dest', 'src']], bindings)

    def test_g1_an_orderly_stop_leaks_what_is_queued(self):
        a, b = self.queue_behind()
        self.src.manager._cleanup_live_migrations_in_pool()
        self.wait_status(b, 'cancelled')
        self.guests.release_all()
        self.assert_leaked(b)

    def test_g3_an_abort_is_swallowed(self):
        b = self.abort_before_the_handler_returns()
        self.wait_status(b, 'completed')
        self.assert_on(b, 'dest')

    def test_g4_an_early_failure_is_stuck(self):
        b = self.fail_before_the_destination_is_asked()
        self.wait_status(b, 'preparing')
        self.wait_for(self.future(b).done)
        self.abort(b)
        self.wait_for(
            lambda: b['id'] not in self.src.manager._waiting_live_migrations
        )
        self.assertEqual('preparing', self.status(b))
        server = self.api.get_server(b['id'])
        self.assertEqual('migrating', server['OS-EXT-STS:task_state'])
        self.assert_leaked(b)

    def test_g5_migrations_start_while_it_stops(self):
        a, b = self.stop_while_one_is_queued()
        self.guests.wait_running(b)

    def test_g6_the_event_ends_while_it_is_queued(self):
        a, b = self.queue_behind()
        self.wait_for(lambda: self._event(b) == 'Success')
        self.assertEqual('queued', self.status(b))

    def test_g6_the_event_of_an_abort_says_success(self):
        a, b = self.queue_behind()
        self.abort(b)
        self.wait_status(b, 'cancelled')
        self.assertEqual('Success', self._event(b))

    def test_g6_the_event_of_a_failure_says_success(self):
        a, b = self.queue_behind()
        self.guests.fail(b)
        self.guests.release(a)
        self.wait_status(b, 'failed', 'error')
        self.assertEqual('Success', self._event(b))

    def test_g7_an_entry_stays_in_the_table(self):
        b = self.fail_to_prepare()
        self.wait_for(self.future(b).done)
        self.assertIn(b['id'], self.src.manager._waiting_live_migrations)


class ThrottledTestCase(Defects, base.ThrottleTestCase):
    def submission(self):
        return self.throttle, 'submit'

    def assert_fault(self, server, text):
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            self.wait_for(
                lambda: self._fault(cell_context, server) is not None
            )
            self.assertIn(text, self._fault(cell_context, server).message)

    def _fault(self, context, server):
        return objects.InstanceFault.get_latest_for_instance(
            context, server['id']
        )

    def test_g3_an_abort_before_the_handler_returns(self):
        b = self.abort_before_the_handler_returns()
        self.assert_left(b, 'cancelled')
        self.assertNotIn(b['id'], self.guests.started)

    def test_g4_an_early_failure_leaves_nothing(self):
        b = self.fail_before_the_destination_is_asked()
        self.assert_left(b, 'error')
        self.assertEqual('Error', self._event(b))
        self.assert_fault(b, 'the conductor does not answer')

    def test_g5_nothing_starts_while_it_stops(self):
        a, b = self.stop_while_one_is_queued()
        self.wait_for(lambda: self.owners() == ())
        self.assertEqual([a['id']], self.guests.started)
        self.assertEqual('queued', self.status(b))

    def test_g6_the_event_of_a_success(self):
        a, b = self.queue_behind()
        self.assertIsNone(self._event(b))
        self.guests.release_all()
        self.wait_status(b, 'completed')
        self.wait_for(lambda: self._event(b) == 'Success')

    def test_g6_the_event_of_an_abort(self):
        a, b = self.queue_behind()
        self.abort(b)
        self.assert_left(b, 'cancelled')
        self.assertEqual('Error', self._event(b))

    def test_g6_the_event_of_a_failure(self):
        a, b = self.queue_behind()
        self.guests.fail(b)
        self.guests.release(a)
        self.assert_left(b, 'failed')
        self.assertEqual('Error', self._event(b))

    def test_g7_no_entry_stays_in_the_table(self):
        b = self.fail_to_prepare()
        self.assert_left(b, self.status(b))
        waiting = self.src.manager._waiting_live_migrations
        self.assertEqual({}, waiting)
