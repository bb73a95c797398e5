# SPDX-License-Identifier: Apache-2.0

"""What hangs holds up nothing else: each task of a host is by itself."""

import threading

from nova_throttle.admission import standstill
from nova_throttle import rpcapi
from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import test_recovery
from nova_throttle.virt.libvirt import driver


class Hanging:
    """Calls that don't return until the test is over."""

    def __init__(self):
        self._over = threading.Event()
        # Whom they were about.
        self.calls = set()
        self.forgotten = False

    def hang(self, whom):
        self.calls.add(whom)
        if not self._over.wait(2 * base.PATIENCE):
            self.forgotten = True

    def end(self):
        self._over.set()


class HangingTestCase(test_recovery.RestartTestCase):
    def setUp(self):
        super().setUp()
        self.hanging = Hanging()

    def tearDown(self):
        # Before any service stops: one that was restarted stops first.
        self.hanging.end()
        self._end_migrations()
        super().tearDown()
        # Whatever waited for it has not been seen to go on without.
        self.assertFalse(self.hanging.forgotten)

    def make_sources_silent(self):
        """Have no source answer what it has for a host that counts."""

        original = rpcapi.HostAPI.report

        def report(api, context, source, *args):
            self.hanging.hang(source)
            return original(api, context, source, *args)

        self.patch(rpcapi.HostAPI, 'report', report)


class SilentSourcesTestCase(HangingTestCase):
    hosts = ('src', 'src2', 'dest')
    options = {'max_incoming_live_migrations': 1}

    def occupy(self, host):
        """Have a server of each other host on its way to one."""
        servers = []
        for source in set(self.hosts) - {host}:
            (server,) = self.boot(1, host=source)
            self.guests.hold(server)
            self.migrate(server, host=host)
            servers.append(server)
        self.wait_for(lambda: self.guests.running)
        return servers

    def counts(self, host):
        return self.computes[host].manager._parts.negotiation.incoming.counts

    def test_the_restored_queue_does_not_wait_for_them(self):
        self.occupy('src')
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a, b)
        self.guests.wait_running(a)
        self.kill()
        self.guests.release(a)
        self.make_sources_silent()
        self.start_again()
        self.wait_for(lambda: self.hanging.calls)
        self.guests.wait_running(b)
        self.assertTrue(self.counts('src'))
        self.hanging.end()
        self.guests.release_all()
        self.assert_moved(b)

    def test_they_are_asked_together(self):
        self.occupy('dest')
        self.make_sources_silent()
        self.restart_compute_service('dest')
        self.wait_for(lambda: self.hanging.calls == {'src', 'src2'})

    def test_the_gate_opens_after_one_wait_for_all(self):
        self.occupy('dest')
        self.make_sources_silent()
        self.patch(rpcapi, 'PEER_TIMEOUT', 0.1)
        self.restart_compute_service('dest')
        self.wait_for(lambda: not self.counts('dest'))

    def test_an_answer_opens_it_at_once(self):
        self.occupy('dest')
        self.restart_compute_service('dest')
        self.wait_for(lambda: not self.counts('dest'))

    def test_a_stop_does_not_wait_for_them(self):
        self.occupy('dest')
        self.make_sources_silent()
        self.restart_compute_service('dest')
        self.wait_for(lambda: self.hanging.calls)
        housekeeping = self.computes['dest'].manager._housekeeping
        housekeeping.stop(base.PATIENCE)
        for task in housekeeping.tasks:
            self.assertTrue(task.join(0), task.name)


class StuckJobTestCase(HangingTestCase):
    """libvirt neither ends nor aborts one of two migrations."""

    limit = 2

    def setUp(self):
        super().setUp()
        self.a, self.b, self.stuck, self.c = self.boot(4)
        self.guests.hold(self.a, self.b, self.stuck)
        self.migrate(self.a, self.stuck)
        self.guests.wait_running(self.a, self.stuck)
        for server in (self.a, self.stuck):
            self.wait_status(server, 'running')
        self.migrate(self.b, self.c)
        self._make_libvirt_stick()
        self.kill_and_start()
        self.wait_for(lambda: self.hanging.calls)

    def _make_libvirt_stick(self):
        original = driver.ThrottledLibvirtDriver.end_live_migration

        def end(this, instance):
            if instance.uuid == self.stuck['id']:
                self.hanging.hang(instance.uuid)
            return original(this, instance)

        self.patch(driver.ThrottledLibvirtDriver, 'end_live_migration', end)

    def test_it_holds_its_own_slot_only(self):
        self.assert_left(self.a, 'error')
        self.guests.wait_running(self.b)
        uuids = [self.migration(s).uuid for s in (self.stuck, self.b)]
        self.assertEqual(sorted(uuids), sorted(self.owners()))
        self.guests.release(self.b)
        for server in (self.b, self.c):
            self.assert_moved(server)
        self.assertIn(uuids[0], self.owners())

    def test_no_gate_is_held(self):
        self.wait_for(
            lambda: not self.src.manager._parts.negotiation.incoming.counts
        )
        self.assertNotIn(
            standstill.Standstill.STARTING, self.throttle._admission.standstill
        )


class StuckCleanUpTestCase(HangingTestCase):
    def test_the_next_one_is_cleaned_up(self):
        a, b = self.boot(2)
        c = self.boot_with_port()
        self.guests.hold(a)
        self.migrate(a, b, c)
        network = self.src.manager.network_api
        original = network.setup_networks_on_host
        away = {'everybody'}

        def setup(context, instance, *args, **kwargs):
            if away:
                raise RuntimeError('down')
            if instance.uuid == b['id']:
                self.hanging.hang(instance.uuid)
            return original(context, instance, *args, **kwargs)

        network.setup_networks_on_host = setup
        cleanup = self.src.manager._parts.cleanup
        for server in (b, c):
            self.abort(server)
            self.wait_for(
                lambda s=server: cleanup.knows(self.migration(s).uuid)
            )
        away.clear()
        for departure in cleanup._departures.values():
            departure.due = 0
        cleanup.retry()
        self.assert_left(c, 'cancelled')
        self.assertTrue(self.hanging.calls)
        self.hanging.end()
        self.assert_left(b, 'cancelled')
