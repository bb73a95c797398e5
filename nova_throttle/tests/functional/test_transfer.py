# SPDX-License-Identifier: Apache-2.0

"""Of those in progress, only as many have the link as may."""

import threading
import types

import fixtures
from nova import context as nova_context
from nova.virt.libvirt import driver as nova_driver

from nova_throttle.admission import standstill
from nova_throttle import lifecycle
from nova_throttle import overrides
from nova_throttle import rpcapi
from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_recovery
from nova_throttle.transfer import watcher

ADMIN = nova_context.get_admin_context()

PREPARED = lifecycle.State.PREPARED


class TransferTestCase(test_recovery.RestartTestCase):
    """All may be in progress, and one may be on the wire."""

    limit = 0
    options = {'max_outgoing_transfers': 1}

    def gate(self, name='transfer-out', host='src'):
        return self.computes[host].manager.throttle.gate(name)

    def uuids(self, *servers):
        return tuple(self.migration(server).uuid for server in servers)

    def entry(self, server, host='src'):
        queue = self.computes[host].manager.throttle.snapshot().queue
        uuid = self.migration(server).uuid
        return next((e for e in queue if e.migration_uuid == uuid), None)

    def wait_prepared(self, *servers, host='src'):
        """Wait until migrations are prepared and wait for the link."""
        parts = self.computes[host].manager._parts
        for server in servers:
            uuid = self.migration(server).uuid
            self.wait_for(
                lambda u=uuid: (
                    u in parts.transfer._turns
                    and parts.journal.get(u).state == PREPARED.value
                    and self.is_at_its_turn(u, host)
                ),
                lambda s=server: f'{self.status(s)} is not prepared',
            )

    def is_at_its_turn(self, uuid, host):
        """Tell whether it stands in the queue, and what it waits for."""
        queue = self.computes[host].manager.throttle.snapshot().queue
        entry = next((e for e in queue if e.migration_uuid == uuid), None)
        return entry is not None and any(
            wait.gate.startswith('transfer') for wait in entry.waits_for
        )

    def occupy(self):
        """Have one server on the wire and another prepared behind it."""
        a, b = self.boot(1)[0], self.boot_with_port()
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.wait_prepared(b)
        return a, b

    def assert_nothing_held(self, *hosts):
        for host in hosts or self.hosts:
            gates = self.computes[host].manager.throttle.snapshot().gates
            for gate in gates.values():
                self.wait_for(
                    lambda n=gate.name, h=host: self.gate(n, h).owners == (),
                    lambda n=gate.name, h=host: f'{n} of {h} is held',
                )


class OneOnTheWireTestCase(TransferTestCase):
    def test_five_in_progress_and_one_on_the_wire(self):
        servers = self.boot(5)
        self.guests.hold(*servers)
        for server in servers:
            self.migrate(server)
            self.wait_status(server, 'preparing', 'running')
        self.guests.wait_running(servers[0])
        self.wait_prepared(*servers[1:])
        self.assertEqual(5, len(self.gate('source').owners))
        for number, server in enumerate(servers):
            self.wait_status(server, 'running')
            self.assertEqual(self.uuids(server), self.gate().owners)
            for later in servers[number + 1 :]:
                self.assertEqual('preparing', self.status(later))
            self.guests.release(server)
            if server is not servers[-1]:
                self.guests.wait_running(servers[number + 1])
        for server in servers:
            self.assert_moved(server)
        self.assertEqual(1, self.guests.most_running)
        self.assertEqual(
            [server['id'] for server in servers], self.guests.started
        )
        self.assert_nothing_held()

    def test_what_waits_is_seen_with_its_reason_and_position(self):
        a, b = self.occupy()
        (c,) = self.boot(1)
        self.guests.hold(c)
        self.migrate(c)
        self.wait_prepared(c)
        self.settle()
        self.assertEqual([1, 2], [self.entry(s).position for s in (b, c)])
        (wait,) = self.entry(c).waits_for
        self.assertEqual(
            ('gate full', 'transfer-out', 1, self.uuids(a)),
            (wait.reason.value, wait.gate, wait.limit, wait.owners),
        )
        self.assertIn(
            f'{self.uuids(c)[0]} to dest waits, position 2 on this host: '
            'gate full: transfer-out (1 of 1 in progress)',
            self.stdlog.logger.output,
        )
        snapshot = rpcapi.ThrottleAPI('src').get_snapshot(ADMIN)
        self.assertEqual(
            ['transferring', 'prepared', 'prepared'],
            [view.state for view in snapshot.migrations],
        )
        name = 'nova_throttle_wait_transfer-out'
        self.wait_for(lambda: name in self.events(c))
        self.assertIsNone(self.events(c)[name]['finish_time'])
        self.guests.release_all()
        for server in (a, b, c):
            self.assert_moved(server)
        self.wait_for(lambda: self.events(c)[name]['result'] == 'Success')
        self.assertNotIn(name, self.events(a))

    def events(self, server):
        (events,) = self.action_events(server)
        return {event['event']: event for event in events}

    def test_the_link_is_handed_on_before_the_clean_up(self):
        a, b = self.occupy()
        paused = self.useFixture(
            pause.Paused(
                self.src.manager, '_post_live_migration', base.PATIENCE
            )
        )
        self.guests.release(a)
        self.guests.wait_running(b)
        self.assertEqual('running', self.status(a))
        self.assertIn(self.uuids(a)[0], self.gate('source').owners)
        self.assertEqual(self.uuids(b), self.gate().owners)
        paused.proceed.set()
        self.guests.release(b)
        self.assert_moved(a)
        self.assert_moved(b)

    def test_what_waits_is_checked_meanwhile_and_not_at_its_turn(self):
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.source.transfer.LOOK_INTERVAL', 0.01
            )
        )
        a, b = self.occupy()
        transfer = self.src.manager._parts.transfer
        turn = transfer._turns[self.migration(b).uuid]
        # As if it had waited for a minute.
        begun = turn.seen_at
        turn.seen_at -= 60
        self.wait_for(lambda: turn.seen_at > begun)
        self.useFixture(
            fixtures.MockPatchObject(transfer._workers, 'post', str)
        )
        self.wait_for(lambda: transfer.idle)
        checked = []
        self.useFixture(
            fixtures.MockPatchObject(transfer, '_check', checked.append)
        )
        self.guests.release(a)
        self.guests.wait_running(b)
        self.assertEqual([], checked)

    def test_a_failure_hands_the_link_on(self):
        a, b = self.occupy()
        self.guests.fail(a)
        self.guests.wait_running(b)
        self.guests.release(b)
        self.assert_left(a, 'failed')
        self.assert_moved(b)
        self.assert_nothing_held()

    def test_an_abort_on_the_wire_hands_the_link_on(self):
        a, b = self.occupy()
        self.wait_status(a, 'running')
        self.abort(a)
        self.guests.wait_running(b)
        self.guests.release(b)
        self.assert_left(a, 'cancelled')
        self.assert_moved(b)

    def test_the_limit_changes_at_run_time(self):
        a, b = self.occupy()
        (c,) = self.boot(1)
        self.guests.hold(c)
        self.migrate(c)
        self.wait_prepared(c)
        api = rpcapi.ThrottleAPI('src')
        api.set_limit(ADMIN, 'transfer-out', 2)
        self.guests.wait_running(a, b)
        self.assertEqual('preparing', self.status(c))
        api.set_limit(ADMIN, 'transfer-out', 1)
        self.guests.release(a)
        self.wait_for(lambda: self.gate().owners == self.uuids(b))
        self.assertEqual('preparing', self.status(c))
        api.set_limit(ADMIN, 'transfer-out', 0)
        self.guests.wait_running(b, c)
        self.guests.release_all()
        for server in (a, b, c):
            self.assert_moved(server)

    def test_a_reload_changes_the_limit(self):
        a, b = self.occupy()
        self.flags(group='nova_throttle', max_outgoing_transfers=2)
        self.src.manager.reset()
        self.guests.wait_running(a, b)
        self.guests.release_all()
        self.assert_moved(b)


class AnyDriverTestCase(TransferTestCase):
    """A driver that does not tell when the last byte was moved."""

    def test_it_has_the_link_until_it_is_done_with_all(self):
        self.src.driver.watch_transfers(watcher.Watcher())
        a, b = self.occupy()
        paused = self.useFixture(
            pause.Paused(
                self.src.manager, '_post_live_migration', base.PATIENCE
            )
        )
        self.guests.release(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.assertEqual('preparing', self.status(b))
        paused.proceed.set()
        self.guests.release(b)
        self.assert_moved(a)
        self.assert_moved(b)
        self.assertEqual(1, self.guests.most_running)


class AbortTestCase(TransferTestCase):
    def test_while_it_waits(self):
        a, b = self.occupy()
        (c,) = self.boot(1)
        self.migrate(c)
        self.wait_prepared(c)
        self.abort(b)
        self.assert_left(b, 'cancelled')
        self.assertNotIn(b['id'], self.guests.started)
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.guests.release(a)
        self.assert_moved(c)
        self.assertEqual([a['id'], c['id']], self.guests.started)
        self.assert_nothing_held()

    def test_in_the_instant_in_which_it_is_its_turn(self):
        """It has the link by then, and gives it back without a byte sent."""
        a, b = self.occupy()
        paused = self.useFixture(
            pause.Paused(
                self.src.manager._parts.run, 'note_running', base.PATIENCE
            )
        )
        self.guests.release(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.assertEqual(self.uuids(b), self.gate().owners)
        ours = self.src.manager._parts.migrations.of_instance(b['id'])
        self.abort(b)
        self.wait_for(lambda: ours._aborted)
        paused.proceed.set()
        self.assert_left(b, 'cancelled')
        self.assertEqual([a['id']], self.guests.started)
        self.assert_nothing_held()

    def test_before_it_waits(self):
        a, b = self.boot(2)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        transfer = self.src.manager._parts.transfer
        paused = self.useFixture(
            pause.Paused(transfer, '_wait', base.PATIENCE)
        )
        self.migrate(b)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        ours = self.src.manager._parts.migrations.of_instance(b['id'])
        self.abort(b)
        self.wait_for(lambda: ours._aborted)
        paused.proceed.set()
        self.assert_left(b, 'cancelled')
        self.assertEqual([a['id']], self.guests.started)


class StopTestCase(TransferTestCase):
    def stop_at_the_wait(self):
        a, b = self.occupy()
        self.begin_to_stop()
        return a, b

    def test_nothing_enters_the_wire_and_nothing_stays_prepared(self):
        a, b = self.stop_at_the_wait()
        self.wait_status(b, 'queued')
        journal = self.src.manager._parts.journal
        self.wait_for(lambda: journal.get(self.uuids(b)[0]).state == 'queued')
        self.assertFalse(journal.get(self.uuids(b)[0]).prepared)
        self.guests.release_all()
        self.wait_status(a, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.assertEqual([a['id']], self.guests.started)
        self.restart()
        self.assert_moved(b)
        self.assertEqual([a['id'], b['id']], self.guests.started)

    def test_what_cannot_be_undone_now_is_undone_after_the_restart(self):
        a, b = self.occupy()

        def fail(*args, **kwargs):
            raise RuntimeError('down')

        self.src.manager._remove_remote_volume_connections = fail
        self.begin_to_stop()
        ours = self.src.manager._parts.migrations
        uuid = self.uuids(b)[0]
        self.wait_for(lambda: ours.of_migration(uuid) is None)
        self.assertEqual('preparing', self.status(b))
        self.guests.release_all()
        self.wait_status(a, 'completed')
        self.kill_and_start()
        self.assert_moved(b)
        self.assertEqual([a['id'], b['id']], self.guests.started)

    def test_one_that_comes_to_its_wait_then_does_not_wait(self):
        a, b = self.boot(2)
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        transfer = self.src.manager._parts.transfer
        paused = self.useFixture(pause.Paused(transfer, 'wait', base.PATIENCE))
        self.migrate(b)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.begin_to_stop()
        paused.proceed.set()
        self.wait_status(b, 'queued')
        self.guests.release_all()
        self.wait_status(a, 'completed')
        self.restart()
        self.assert_moved(b)

    def test_nothing_stays_prepared_on_a_destination_that_stops(self):
        """It waited for ever, and the stop of the destination for it."""
        rpcapi.ThrottleAPI('src').set_limit(ADMIN, 'transfer-out', 0)
        rpcapi.ThrottleAPI('dest').set_limit(ADMIN, 'transfer-in', 1)
        a, b = self.occupy()
        self.begin_to_stop('dest')
        self.wait_status(b, 'queued')
        # The record says it before the queue has it again.
        self.wait_for(
            lambda: any(
                wait.reason.value == 'service stops'
                for entry in filter(None, [self.entry(b)])
                for wait in entry.waits_for
            )
        )
        journal = self.src.manager._parts.journal
        self.assertFalse(journal.get(self.uuids(b)[0]).prepared)
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.assertEqual('queued', self.status(b))
        self.computes['dest'].manager.throttle.resume(
            standstill.Standstill.STOPPING
        )
        self.guests.release(b)
        self.look()
        self.assert_moved(b)


class CrashTestCase(TransferTestCase):
    def kill_it(self):
        """Kill the source, with whatever waits for the link in there."""
        never = threading.Event()
        self.addCleanup(never.set)

        def die():
            raise base.Killed

        transfer = self.src.manager._parts.transfer
        # What is dead looks at nothing.
        transfer._workers.post = lambda uuid: None
        self.wait_for(lambda: transfer.idle)
        for turn in transfer._turns.values():
            turn.seen_at = float('-inf')
            turn.ticket.running = die
            self.addCleanup(turn.decided.set)
            # One that is about to wait sees the end of its service.
            turn.decided = types.SimpleNamespace(
                set=lambda: None, is_set=never.is_set, wait=never.wait
            )
        self.kill()

    def test_what_waited_goes_on_in_its_order(self):
        a, b = self.occupy()
        (c,) = self.boot(1)
        self.guests.hold(c)
        self.migrate(c)
        self.wait_prepared(c)
        self.kill_it()
        self.assertEqual(['preparing'] * 2, [self.status(s) for s in (b, c)])
        self.start_again()
        self.assert_left(a, 'error')
        self.guests.release_all()
        self.assert_moved(b)
        self.assert_moved(c)
        self.assertEqual(1, self.guests.most_running)
        self.assert_nothing_held()

    def test_what_its_destination_had_prepared_is_undone_first(self):
        calls = []

        def note(name):
            target = f'nova.virt.libvirt.driver.LibvirtDriver.{name}'
            original = getattr(nova_driver.LibvirtDriver, name)

            def noted(driver, context, instance, *args, **kwargs):
                calls.append((instance.uuid, name))
                return original(driver, context, instance, *args, **kwargs)

            self.useFixture(fixtures.MonkeyPatch(target, noted))

        # As where the hosts share no directory: there is something to undo.
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.manager.ComputeManager.'
                '_live_migration_cleanup_flags',
                lambda *args, **kwargs: (True, False),
            )
        )
        prepare = 'pre_live_migration'
        undo = 'rollback_live_migration_at_destination'
        note(prepare)
        note(undo)
        a, b = self.occupy()
        self.kill_it()
        self.start_again()
        self.guests.release_all()
        self.assert_moved(b)
        self.assertEqual(
            [prepare, undo, prepare],
            [name for uuid, name in calls if uuid == b['id']],
        )
        self.assert_nothing_held()

    def test_what_is_on_the_wire_has_the_link_until_it_is_over(self):
        a, b = self.occupy()
        self.kill_it()
        # libvirt will not abort, as in post-copy mode.
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.abortJob',
            lambda domain: self.guests.refuse(),
        )
        self.start_again()
        self.wait_prepared(b)
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.assertEqual([a['id']], self.guests.started)
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self.retry()
        self.assert_moved(a)
        self.guests.wait_running(b)
        self.guests.release(b)
        self.assert_moved(b)


class IncomingTestCase(TransferTestCase):
    """Two sources send to one destination."""

    options = {'max_incoming_transfers': 1}
    hosts = ('src', 'src2', 'dest')

    def into(self):
        return self.gate('transfer-in', 'dest')

    def boot_two(self):
        (a,), (b,) = self.boot(1), self.boot(1, host='src2')
        self.guests.hold(a, b)
        return a, b

    def occupy_both(self):
        """Have one of src on the wire, and one of src2 wait for it."""
        a, b = self.boot_two()
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.wait_for(lambda: self.into().waiting == self.uuids(b))
        return a, b

    def assert_all_arrive(self, *servers):
        for server in servers:
            self.wait_status(server, 'completed')
            self.assert_on(server, 'dest')
        self.assertEqual(1, self.guests.most_running)
        self.assert_nothing_held()
        self.assertEqual(((), ()), (self.into().offered, self.into().waiting))


class OneComesInTestCase(IncomingTestCase):
    def test_five_in_progress_and_one_on_the_wire(self):
        servers = [*self.boot(3), *self.boot(2, host='src2')]
        servers = [servers[i] for i in (0, 3, 1, 4, 2)]
        self.guests.hold(*servers)
        for server in servers:
            self.migrate(server)
        first, *others = servers
        self.guests.wait_running(first)
        self.wait_for(
            lambda: set(self.into().waiting) == set(self.uuids(*others))
        )
        self.assertEqual(self.uuids(*others), self.into().waiting)
        for server in servers:
            self.guests.wait_running(server)
            self.wait_for(lambda s=server: self.into().owners == self.uuids(s))
            self.guests.release(server)
        self.assert_all_arrive(*servers)
        self.assertEqual([s['id'] for s in servers], self.guests.started)

    def test_what_waits_names_the_gate_and_its_host(self):
        a, b = self.occupy_both()
        self.settle()
        (wait,) = self.entry(b, 'src2').waits_for
        self.assertEqual(
            ('transfer-in', 'dest', 1, self.uuids(a), 1),
            (wait.gate, wait.host, wait.limit, wait.owners, wait.position),
        )
        self.guests.release_all()
        self.assert_all_arrive(a, b)

    def test_a_waiting_one_can_be_aborted(self):
        a, b = self.occupy_both()
        self.abort(b)
        self.wait_status(b, 'cancelled')
        self.assert_on(b, 'src2')
        self.wait_for(lambda: self.into().waiting == ())
        self.guests.release(a)
        self.assert_all_arrive(a)

    def test_the_limit_is_set_while_guests_move(self):
        """Who was not asked for before is counted from then on."""
        api = rpcapi.ThrottleAPI('dest')
        api.set_limit(ADMIN, 'transfer-in', 0)
        a, b = self.boot_two()
        self.migrate(a)
        self.guests.wait_running(a)
        self.assertEqual((), self.into().owners)
        api.set_limit(ADMIN, 'transfer-in', 1)
        self.wait_for(lambda: self.into().owners == self.uuids(a))
        self.migrate(b)
        self.wait_for(lambda: self.into().waiting == self.uuids(b))
        api.set_limit(ADMIN, 'transfer-in', 0)
        self.guests.wait_running(a, b)
        self.guests.release_all()
        for server in (a, b):
            self.wait_status(server, 'completed')
        self.assert_nothing_held()

    def test_a_destination_that_restarts_knows_who_is_on_the_wire(self):
        a, b = self.occupy_both()
        self.restart_compute_service('dest')
        self.wait_for(lambda: self.into().waiting == self.uuids(b))
        self.assertEqual(self.uuids(a), self.into().owners)
        self.assertEqual('preparing', self.status(b))
        self.guests.release_all()
        self.assert_all_arrive(a, b)

    def test_a_source_that_is_killed_keeps_the_link_until_it_is_back(self):
        a, b = self.occupy_both()
        self.kill()
        self.look('dest')
        self.assertEqual(self.uuids(a), self.into().owners)
        self.assertEqual('preparing', self.status(b))
        self.start_again()
        self.wait_status(a, 'error')
        self.guests.wait_running(b)
        self.guests.release_all()
        self.assert_all_arrive(b)
        self.assert_on(a, 'src')

    def test_a_destination_that_dies_fails_who_waits_for_it(self):
        # However short a time the machine takes for this test.
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.compute.source.checks.GOOD', 0)
        )
        a, b = self.occupy_both()
        self.settle()
        services = self.api.get_services(host='dest', binary='nova-compute')
        self.api.put_service(services[0]['id'], {'forced_down': True})
        self.flags(group='nova_throttle', housekeeping_interval=1)
        self.wait_for(lambda: self.look('src2') or self.status(b) == 'error')
        self.assert_on(b, 'src2')
        self.guests.release_all()
        self.wait_status(a, 'completed')


class PeerTestCase(IncomingTestCase):
    """With a host that does not run us (R12)."""

    def setUp(self):
        super().setUp()
        overrides.uninstall()
        self.start_compute(hostname='plain')
        overrides.install()
        self.addCleanup(self.computes.pop, 'plain', None)

    def settle(self):
        plain = self.computes.pop('plain', None)
        super().settle()
        if plain is not None:
            self.computes['plain'] = plain

    def _end_migrations(self):
        self.guests.release_all()
        self.wait_for(lambda: not self.guests.running)
        self.settle()

    def test_nobody_waits_for_a_destination_without_us(self):
        a, b = self.boot_two()
        self.migrate(a, b, host='plain')
        self.guests.wait_running(a, b)
        self.guests.release_all()
        for server in (a, b):
            self.wait_status(server, 'completed')
            self.assert_on(server, 'plain')

    def test_what_a_source_without_us_sends_is_counted(self):
        (a,), (b,) = self.boot(1, host='plain'), self.boot(1)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.assertEqual(self.uuids(a), self.into().owners)
        self.migrate(b)
        self.wait_for(lambda: self.into().waiting == self.uuids(b))
        self.assertEqual('preparing', self.status(b))
        self.guests.release_all()
        self.assert_all_arrive(a, b)


class OffTestCase(base.ThrottleTestCase):
    """The options are not set, as by default."""

    limit = 0

    def test_all_transfer_and_nobody_is_told(self):
        told = []
        original = rpcapi.HostAPI.ask

        def ask(this, ctxt, host, value):
            told.extend(value.items)
            return original(this, ctxt, host, value)

        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.rpcapi.HostAPI.ask', ask)
        )
        servers = self.boot(3)
        self.guests.hold(*servers)
        self.migrate(*servers)
        self.guests.wait_running(*servers)
        self.guests.release_all()
        for server in servers:
            self.wait_status(server, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.settle()
        self.assertEqual({'destination'}, {item.gate for item in told})
        # One that it may start, and one that it is over.
        self.assertEqual(6, len(told))
