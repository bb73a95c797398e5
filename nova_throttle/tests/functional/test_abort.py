# SPDX-License-Identifier: Apache-2.0

"""No abort is swallowed, wherever the migration is."""

import threading

from nova import exception as nova_exception
from nova.tests.fixtures import libvirt as fakelibvirt

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.virt.libvirt import operation


class AbortTestCase(base.ThrottleTestCase):
    def assert_aborted(self, server):
        self.assert_left(server, 'cancelled')
        self.assertNotIn(server['id'], self.guests.running)
        self.wait_for(
            lambda: (
                server['id']
                not in self.src.manager._parts.migrations._by_instance
            )
        )
        self.assertNotIn(
            server['id'], self.src.manager._waiting_live_migrations
        )

    def assert_throttle_goes_on(self):
        (server,) = self.boot(1)
        self.migrate(server)
        self.wait_status(server, 'completed')
        self.assert_on(server, 'dest')

    def pause(self, target, name, **kwargs):
        """Pause a method when it is called; returns its fixture."""
        return self.useFixture(
            pause.Paused(target, name, base.PATIENCE, **kwargs)
        )

    def test_while_queued(self):
        a, b, c = self.boot(3)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.migrate(c)
        self.abort(b)
        self.assert_aborted(b)
        self.assertNotIn(b['id'], self.guests.started)
        self.guests.release(a)
        self.wait_status(c, 'completed')

    def test_while_preparing(self):
        (a,) = self.boot(1)
        dest = self.computes['dest'].manager
        paused = self.pause(dest, base.preparation(dest))
        self.migrate(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.wait_status(a, 'preparing')
        self.abort(a)
        self.wait_for(
            lambda: a['id'] not in self.src.manager._waiting_live_migrations
        )
        paused.proceed.set()
        self.assert_aborted(a)
        self.assertEqual([], self.guests.started)
        self.assert_throttle_goes_on()

    def test_before_anything_is_prepared(self):
        (a,) = self.boot(1)
        paused = self.pause(self.src.manager, '_do_live_migration')
        self.migrate(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.src.manager.live_migration_abort(
            self.context_of(a), self.instance(a), self.migration(a).id
        )
        paused.proceed.set()
        self.assert_aborted(a)
        self.assertEqual([], self.guests.started)
        self.assert_throttle_goes_on()

    def test_between_preparing_and_running(self):
        """Nova answers such an abort with an error and goes on."""
        (a,) = self.boot(1)
        original = self.src.manager._set_migration_status
        reached, proceed = threading.Event(), threading.Event()
        self.addCleanup(proceed.set)

        def set_status(migration, status):
            if status == 'running':
                reached.set()
                proceed.wait(base.PATIENCE)
            return original(migration, status)

        self.src.manager._set_migration_status = set_status
        self.migrate(a)
        self.assertTrue(reached.wait(base.PATIENCE))
        self.assertNotIn(a['id'], self.src.manager._waiting_live_migrations)
        self.abort(a)
        self.wait_for(
            lambda: (
                self.src.manager._parts.migrations.of_instance(
                    a['id']
                )._aborted
            )
        )
        proceed.set()
        self.assert_aborted(a)
        self.assertEqual([], self.guests.started)
        self.assert_throttle_goes_on()

    def test_while_running(self):
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.abort(a)
        self.assert_aborted(a)
        self.assert_throttle_goes_on()

    def test_while_the_driver_has_not_called_libvirt_yet(self):
        (a,) = self.boot(1)
        paused = self.pause(self.src.driver, '_live_migration_operation')
        self.migrate(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.wait_status(a, 'running')
        self.abort(a)
        call = self.src.driver._operations[a['id']]
        self.wait_for(lambda: call.abort_requested)
        paused.proceed.set()
        self.assert_aborted(a)
        self.assertEqual([], self.guests.started)
        self.assert_throttle_goes_on()

    def test_before_the_driver_is_entered(self):
        """The abort finds no job, and the guest does not even start."""
        (a,) = self.boot(1)
        paused = self.pause(self.src.driver, '_operation')
        # However long the thread of the abort then takes to go on.
        late = self.pause(
            operation.Operation, 'abort', side_effect=lambda *args: None
        )
        self.migrate(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.wait_status(a, 'running')
        self.in_background(self.abort, a)
        self.wait_for(lambda: self.guests.refused)
        paused.proceed.set()
        self.assert_aborted(a)
        self.assertEqual([], self.guests.started)
        late.proceed.set()
        self.assert_throttle_goes_on()

    def test_refused_by_libvirt(self):
        """An abort that libvirt refuses is an error, not a cancellation."""
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')

        def refuse(domain):
            raise fakelibvirt.make_libvirtError(
                fakelibvirt.libvirtError,
                'cannot abort migration in post-copy mode',
                error_code=fakelibvirt.VIR_ERR_OPERATION_INVALID,
            )

        self.stub_out('nova.tests.fixtures.libvirt.Domain.abortJob', refuse)
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.jobStats',
            lambda domain, flags=0: {
                'type': fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED
            },
        )
        self.assertRaises(
            fakelibvirt.libvirtError,
            self.src.driver.live_migration_abort,
            self.instance(a),
        )
        self.assertFalse(self.src.driver._operations[a['id']].abort_requested)
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.jobStats',
            lambda domain, flags=0: {'type': domain._job_type},
        )
        self.guests.release(a)
        self.wait_status(a, 'completed')

    def test_of_another_migration_is_refused(self):
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.assertRaises(
            nova_exception.NovaException,
            self.src.manager.live_migration_abort,
            self.context_of(a),
            self.instance(a),
            self.migration(a).id + 1,
        )
        self.assertIn(a['id'], self.guests.running)


class FailureTestCase(base.ThrottleTestCase):
    def test_a_failed_migration_leaves_the_server_active(self):
        """Since 32.2 plain Nova puts it into ERROR."""
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.guests.fail(a)
        self.assert_left(a, 'failed')
        self.assertEqual('Error', self._event(a))
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.assert_on(a, 'dest')
