# SPDX-License-Identifier: Apache-2.0

"""Whatever ends nova-compute, no queued migration is lost or leaks."""

import threading

from nova.cmd import manage
from nova import context as nova_context
from nova.db.main import api as main_db_api
from nova.db.main import models
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_throttle import activation
from nova_throttle.admission import standstill
from nova_throttle.tests.functional import base


class RestartTestCase(base.ThrottleTestCase):
    """Two hosts and servers with ports; nova-compute is ended and started."""

    def setUp(self):
        super().setUp()
        self._ports = [self.neutron.port_1, self.neutron.port_2]

    def boot_with_port(self):
        port = self._ports.pop(0)
        if port is self.neutron.port_2:
            self.neutron.create_port({'port': port})
        (server,) = self.boot(1, networks=[{'port': port['id']}])
        return server

    def restart(self):
        """Stop nova-compute of the source in order, and start it again."""
        self.restart_compute_service('src')
        self.src = self.computes['src']

    def kill(self):
        """End nova-compute of the source as kill -9 would."""
        dead = self.computes.pop('src')
        self.compute_rp_uuids.pop('src')
        parts = dead.manager._parts
        parts.throttle.halt(standstill.Standstill.STOPPING)
        for migration in list(parts.migrations._by_migration.values()):
            migration.hold._on_end = lambda: None
            for thread in threading.enumerate():
                if thread.name.endswith(migration.record.uuid):
                    thread.is_killed = True
        parts.journal.put = lambda entry: None
        parts.journal.remove = lambda uuid: None
        dead.manager._housekeeping.stop(0)
        parts.background.stop()
        self.guests.orphans |= self.guests.running
        servers = (dead.rpcserver, vars(dead).get('rpcserver_alt'))
        for server in filter(None, servers):  # the second one since 33
            server.stop()
            server.wait()
        dead.stop = lambda: None
        self._connection = dead.driver._host.get_connection()

    def start_again(self):
        self.start_compute('src', connection=self._connection)
        self.src = self.computes['src']

    def kill_and_start(self):
        self.kill()
        self.start_again()

    def kill_while_preparing(self, *servers):
        """Kill the source while the destination prepares the first."""
        reached, proceed = threading.Event(), threading.Event()
        self.addCleanup(proceed.set)
        api = self.src.manager.compute_rpcapi
        original = api.pre_live_migration

        def pre_live_migration(*args, **kwargs):
            original(*args, **kwargs)
            reached.set()
            proceed.wait(base.PATIENCE)
            raise base.Killed

        api.pre_live_migration = pre_live_migration
        for server in servers:
            self.migrate(server)
        self.assertTrue(reached.wait(base.PATIENCE))
        self.wait_status(servers[0], 'preparing')
        self.kill()

    def queue_three(self):
        """Have one migration that runs and two that are queued."""
        a, b = self.boot(2)
        c = self.boot_with_port()
        self.guests.hold(a, b, c)
        for server in (a, b, c):
            self.migrate(server)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        return a, b, c

    def assert_moved(self, server):
        """Check that a server was migrated and nothing is left behind."""
        self.wait_status(server, 'completed')
        self.assert_on(server, 'dest')
        self.wait_for(
            lambda: self.allocations(self.migration(server).uuid) == []
        )
        self.assertEqual(['dest'], self.allocations(server['id']))
        self.assert_bound(server, 'dest')
        self.wait_for(lambda: self._journaled(server) is None)
        self.wait_for(lambda: self._event(server) == 'Success')
        self.assert_events_end(server)

    def assert_fault(self, server, text):
        """Check what the newest fault of a server says."""
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            fault = objects.InstanceFault.get_latest_for_instance(
                cell_context, server['id']
            )
        self.assertIn(text, fault.message)


class OrderlyStopTestCase(RestartTestCase):
    def test_g1_the_queue_goes_on_after_a_restart(self):
        """Plain Nova cancels it and leaks what it holds."""
        a, b, c = self.queue_three()
        uuids = [self.migration(server).uuid for server in (b, c)]
        self.begin_to_stop()
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.restart()
        self.guests.wait_running(b)
        self.assertEqual('queued', self.status(c))
        self.guests.release(b, c)
        for server in (a, b, c):
            self.assert_moved(server)
        self.assertEqual(
            [server['id'] for server in (a, b, c)], self.guests.started
        )
        self.assertEqual(
            uuids, [self.migration(server).uuid for server in (b, c)]
        )
        self.assertEqual(1, self.guests.most_running)

    def test_queued_ones_stay_queued_while_stopped(self):
        a, b, c = self.queue_three()
        self.begin_to_stop()
        self.guests.release(a)
        self.wait_for(lambda: self.owners() == ())
        self.src.manager.cleanup_host()
        self.assertEqual('queued', self.status(b))
        server = self.api.get_server(b['id'])
        self.assertEqual('migrating', server['OS-EXT-STS:task_state'])
        journal = self.src.manager._parts.journal
        self.assertEqual(
            [self.migration(server).uuid for server in (b, c)],
            [entry.migration_uuid for entry in journal.entries()],
        )

    def test_a_restored_request_can_be_aborted(self):
        a, b, c = self.queue_three()
        self.begin_to_stop()
        self.guests.release(a)
        self.wait_for(lambda: self.owners() == ())
        self.restart()
        self.guests.wait_running(b)
        self.abort(c)
        self.assert_left(c, 'cancelled')
        self.guests.release(b)
        self.assert_moved(b)


class CancelOnRestartTestCase(RestartTestCase):
    options = {'on_restart': 'cancel'}

    def test_the_queue_leaves_with_nothing_held(self):
        a, b, c = self.queue_three()
        self.kill_and_start()
        for server in (b, c):
            self.assert_left(server, 'cancelled')
        self.assert_left(a, 'error')

    def test_nothing_is_in_an_operators_way(self):
        servers = self.queue_three()
        self.kill_and_start()
        self.assert_left(servers[0], 'error')
        for server in servers[1:]:
            self.assert_left(server, 'cancelled')
        # What nova-manage placement audit runs; 0 is: no orphans.
        self.assertEqual(0, manage.PlacementCommands().audit())
        for server in servers:
            self._delete_server(server)
        service = self.src.service_ref.uuid
        self.src.stop()
        self.api.api_delete(f'/os-services/{service}')

    def test_what_was_preparing_leaves(self):
        _kill_while_preparing(self)
        self.start_again()
        self.assert_left(self.a, 'cancelled')


class CrashTestCase(RestartTestCase):
    def test_g2_the_queue_goes_on_after_a_crash(self):
        """Plain Nova forgets it: queued for ever, with all it holds."""
        a, b, c = self.queue_three()
        self.kill()
        self.assertEqual('queued', self.status(b))
        self.start_again()
        self.assert_left(a, 'error')
        self.guests.wait_running(b)
        self.guests.release(b, c)
        self.assert_moved(b)
        self.assert_moved(c)
        self.assertEqual(1, self.guests.most_running)

    def test_running_is_aborted_and_rolled_back(self):
        a = self.boot_with_port()
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.kill_and_start()
        self.assert_left(a, 'error')
        self.assertEqual('Error', self._event(a))
        self.assertNotIn(a['id'], self.guests.running)

    def test_running_that_completed_meanwhile_is_finished(self):
        a = self.boot_with_port()
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.kill()
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self.start_again()
        self.assert_moved(a)

    def test_preparing_is_rolled_back_and_goes_on(self):
        _kill_while_preparing(self)
        self.start_again()
        self.assert_moved(self.a)
        self.assert_moved(self.b)
        self.assertEqual([self.a['id'], self.b['id']], self.guests.started)

    def test_what_is_interrupted_owns_its_slot_until_it_is_over(self):
        a, b, c = self.queue_three()
        self.kill()
        # libvirt will not abort, as in post-copy mode.
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.abortJob',
            lambda domain: self.guests.refuse(),
        )
        self.start_again()
        self.wait_for(lambda: self.owners() != ())
        self.assertEqual((self.migration(a).uuid,), self.owners())
        self.wait_for(lambda: len(self.throttle.snapshot().queue) == 2)
        self.assertEqual([a['id']], self.guests.started)
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self.retry()
        self.assert_moved(a)
        self.guests.release_all()
        self.assert_moved(b)
        self.assert_moved(c)

    def test_a_service_with_the_journal_locked_stops(self):
        journal = self.src.manager._parts.journal

        def locked():
            raise activation.JournalLocked(host='src', path='journal')

        journal.open = locked
        self.assertRaises(SystemExit, self.src.manager.init_host, None)


def _kill_while_preparing(test):
    """Kill the source while the destination prepares; another is queued."""
    test.a = test.boot_with_port()
    (test.b,) = test.boot(1)
    test.kill_while_preparing(test.a, test.b)


class ReusedIdTestCase(RestartTestCase):
    """A record was purged, and its number given to another migration.

    SQLite does so, and InnoDB before MySQL 8.0 after a restart.
    """

    def give_id_to_another(self, server):
        """Let the record be one of another server."""
        (other,) = self.boot(1)
        record = self.migration(server)
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            database = main_db_api.get_context_manager(cell_context)
            with database.writer.using(cell_context):
                cell_context.session.query(models.Migration).filter_by(
                    id=record.id
                ).update(
                    {
                        'uuid': uuids.another,
                        'instance_uuid': other['id'],
                        'status': 'running',
                    }
                )
        return record.id

    def assert_left_alone(self, migration_id):
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            found = objects.Migration.get_by_id(cell_context, migration_id)
        self.assertEqual(
            (uuids.another, 'running'), (found.uuid, found.status)
        )

    def assert_gone(self, server, uuid):
        self.wait_for(
            lambda: self.src.manager._parts.journal.get(uuid) is None
        )
        self.assert_on(server, 'src')
        self.assertEqual(['src'], self.allocations(server['id']))

    def test_the_other_one_of_a_queued_one_is_left_alone(self):
        a, b, _ = self.queue_three()
        uuid = self.migration(b).uuid
        number = self.give_id_to_another(b)
        self.kill()
        self.start_again()
        self.assert_gone(b, uuid)
        self.assert_left_alone(number)

    def test_the_other_one_of_a_running_one_is_left_alone(self):
        a, _, _ = self.queue_three()
        uuid = self.migration(a).uuid
        number = self.give_id_to_another(a)
        self.kill()
        self.start_again()
        self.assert_gone(a, uuid)
        self.assert_left_alone(number)


class LeftoverTestCase(RestartTestCase):
    """Records that a plain Nova left behind."""

    def leave_over(self, status):
        """Have a queued request that no nova-compute knows."""
        a, b = self.boot(1)[0], self.boot_with_port()
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.guests.release(a)
        uuid = self.migration(b).uuid
        self.src.manager._parts.throttle.halt(standstill.Standstill.STOPPING)
        self.wait_for(lambda: self.owners() == ())
        self.src.manager._parts.journal.remove(uuid)
        self.kill()
        record = self.migration(b)
        record.status = status
        record.save()
        return b

    def test_queued_leaves(self):
        b = self.leave_over('queued')
        self.start_again()
        self.assert_left(b, 'error', event=False)

    def test_preparing_leaves(self):
        b = self.leave_over('preparing')
        self.start_again()
        self.assert_left(b, 'error', event=False)

    def test_it_can_be_migrated_again(self):
        b = self.leave_over('queued')
        self.start_again()
        self.assert_left(b, 'error', event=False)
        self.guests.release_all()
        self.migrate(b)
        self.assert_moved(b)

    def test_report_only(self):
        b = self.leave_over('queued')
        self.flags(repair_leftovers=False, group='nova_throttle')
        self.start_again()
        self.wait_for(lambda: 'repair_leftovers' in self.stdlog.logger.output)
        self.assertEqual('queued', self.status(b))


class QueuedTestCase(RestartTestCase):
    """``a`` runs, and ``b``, which has a port, is queued behind it."""

    def setUp(self):
        super().setUp()
        self.a = self.boot(1)[0]
        self.b = self.boot_with_port()
        self.guests.hold(self.a)
        self.migrate(self.a)
        self.guests.wait_running(self.a)
        self.migrate(self.b)


class StaleRequestTestCase(QueuedTestCase):
    """What a request is about has changed while it was queued."""

    def go_on(self):
        self.guests.release(self.a)
        self.wait_status(self.a, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.assertEqual([self.a['id']], self.guests.started)

    def update_instance(self, **values):
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            instance = objects.Instance.get_by_uuid(cell_context, self.b['id'])
            instance.update(values)
            instance.save()

    def test_destination_disabled(self):
        service = self.api.get_services(host='dest', binary='nova-compute')[0]
        self.api.put_service(service['id'], {'status': 'disabled'})
        self.go_on()
        self.assert_left(self.b, 'error')
        self.assert_fault(self.b, 'destination dest is disabled')

    def test_destination_forced_down(self):
        service = self.api.get_services(host='dest', binary='nova-compute')[0]
        self.api.put_service_force_down(service['id'], True)
        self.go_on()
        self.assert_left(self.b, 'error')
        self.assert_fault(self.b, 'destination dest is forced down')

    def test_instance_no_longer_migrating(self):
        self.update_instance(task_state=None)
        self.go_on()
        self.assert_left(self.b, 'error')

    def test_instance_deleted(self):
        uuid = self.migration(self.b).uuid
        self.update_instance(task_state=None)
        self._delete_server(self.b)
        self.go_on()
        self.wait_for(lambda: self.allocations(uuid) == [])
        self.assertEqual([], self.allocations(self.b['id']))

    def test_migration_no_longer_queued(self):
        record = self.migration(self.b)
        record.status = 'error'
        record.save()
        self.go_on()
        self.assert_left(self.b, 'error')


class CleanUpRetryTestCase(QueuedTestCase):
    """Another service is down while a request leaves."""

    def assert_retried(self, target, name):
        original = getattr(target, name)

        def fail(*args, **kwargs):
            raise RuntimeError('down')

        setattr(target, name, fail)
        self.abort(self.b)
        self.assert_leaving()
        self.retry()
        self.assert_leaving()
        setattr(target, name, original)
        self.retry()
        self.assert_left(self.b, 'cancelled')

    def assert_leaving(self):
        """Until all is given back, nobody can migrate the server again."""
        self.assertIsNotNone(self._journaled(self.b))
        server = self.api.get_server(self.b['id'])
        self.assertEqual('migrating', server['OS-EXT-STS:task_state'])

    def test_placement(self):
        self.assert_retried(
            self.src.manager.reportclient, 'get_allocs_for_consumer'
        )

    def test_network(self):
        self.assert_retried(
            self.src.manager.network_api, 'setup_networks_on_host'
        )

    def test_across_a_restart(self):
        def fail(*args, **kwargs):
            raise RuntimeError('down')

        self.src.manager.network_api.setup_networks_on_host = fail
        self.abort(self.b)
        self.guests.release(self.a)
        self.wait_status(self.a, 'completed')
        self.wait_for(lambda: self.owners() == ())
        self.kill_and_start()
        self.assert_left(self.b, 'cancelled')
