# SPDX-License-Identifier: Apache-2.0

"""What has arrived is finished, whatever fails in between (R13)."""

import fixtures
from nova.compute import task_states
from nova import context as nova_context
from nova.db.main import api as db
from nova import exception as nova_exception
from nova.network import model as network_model
from nova import objects
import oslo_messaging

from nova_throttle.compute.source import entries
from nova_throttle.compute.source import event
from nova_throttle import lifecycle
from nova_throttle.tests.functional import test_arrival
from nova_throttle.tests.functional import test_recovery


class FailingPostTestCase(test_arrival.ArrivalTestCase):
    """A step of Nova's fails once the guest has arrived."""

    def assert_finished_after(self, target, name, only_with=None):
        """Have a step fail, and check that all is finished when it works."""
        mend = self.break_(target, name, only_with)
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        self.assert_not_over(self.server)
        found = self.api.get_server(self.server['id'])
        self.assertIn(found['status'], ('MIGRATING', 'ACTIVE'))
        (view,) = entries.views(self.src.manager._parts.journal)
        self.assertIs(lifecycle.State.ARRIVED, view.state)
        self.assertTrue(view.problem)
        # Another one may start meanwhile.
        self.wait_for(lambda: self.owners() == ())
        mend()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)

    def test_neutron_is_away(self):
        """Plain Nova: server ERROR, its binding INACTIVE."""
        self.assert_finished_after(
            self.src.manager.network_api, 'migrate_instance_start'
        )

    def test_the_ports_are_not_in_novas_cache(self):
        """No binding was activated then, and Neutron refused the rest."""
        mend = self.break_(
            self.src.manager.network_api, 'migrate_instance_start'
        )
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            cache = objects.InstanceInfoCache.get_by_instance_uuid(
                cell_context, self.server['id']
            )
            cache.network_info = network_model.NetworkInfo()
            cache.save()
        mend()
        api = self.src.manager.network_api
        original, ports = api.migrate_instance_start, []

        def start(context, instance, migration):
            ports.append(len(instance.get_network_info()))
            return original(context, instance, migration)

        api.migrate_instance_start = start
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)
        self.assertEqual([1], ports)

    def test_the_driver_cannot_clean_up(self):
        self.assert_finished_after(
            self.src.manager.driver, 'post_live_migration_at_source'
        )

    def test_the_tracker_is_away(self):
        self.assert_finished_after(
            self.src.manager, '_update_scheduler_instance_info'
        )

    def test_a_step_of_the_destination(self):
        manager = self.computes['dest'].manager
        self.assert_finished_after(
            manager.network_api, 'migrate_instance_finish'
        )

    def test_the_destinations_driver(self):
        """Plain Nova: ERROR, on the destination, for a guest that runs."""
        self.assert_finished_after(
            self.computes['dest'].manager.driver,
            'post_live_migration_at_destination',
        )

    def test_the_destinations_last_step(self):
        self.assert_finished_after(
            self.computes['dest'].manager,
            '_notify_about_instance_usage',
            'live_migration.post.dest.end',
        )

    def test_the_user_has_the_server_before_the_source_is_done(self):
        """It stayed MIGRATING for as long as the source could not clean up."""
        mend = self.break_(
            self.src.manager.driver, 'post_live_migration_at_source'
        )
        self.migrate(self.server)
        self.assert_on(self.server, 'dest')
        self.assert_bound(self.server, 'dest')
        self.assertEqual(['dest'], self.allocations(self.server['id']))
        self.assert_not_over(self.server)
        self.assert_still_told()
        self.retry()
        self.assert_still_told()
        self.assert_on(self.server, 'dest')
        mend()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)

    def assert_still_told(self):
        (view,) = entries.views(self.src.manager._parts.journal)
        self.assertIs(lifecycle.State.ARRIVED, view.state)
        self.assertEqual('down', view.problem)

    def test_it_is_not_told_where_its_ports_are_not(self):
        """The destination comes after the port bindings."""
        mend = self.break_(
            self.src.manager.network_api, 'migrate_instance_start'
        )
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        self.retry()
        found = self.api.get_server(self.server['id'])
        self.assertEqual('MIGRATING', found['status'])
        self.assertEqual('src', found['OS-EXT-SRV-ATTR:host'])
        mend()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)

    def test_it_goes_on_after_a_restart(self):
        mend = self.break_(
            self.src.manager.network_api, 'migrate_instance_start'
        )
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        self.kill()
        mend()
        self.start_again()
        self.assert_moved(self.server)

    def test_a_server_that_is_deleted_meanwhile_leaves_nothing(self):
        self._delete_meanwhile()

    def test_a_server_that_is_deleted_while_a_host_saves_it(self):
        self._delete_meanwhile(
            lambda context: db.instance_extra_update_by_uuid(
                context, self.server['id'], {'migration_context': None}
            )
        )

    def _delete_meanwhile(self, and_then=lambda context: None):
        mend = self.break_(
            self.src.manager.network_api, 'migrate_instance_start'
        )
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        uuid = self.migration(self.server).uuid
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            objects.Instance.get_by_uuid(
                cell_context, self.server['id']
            ).destroy()
            and_then(cell_context)
        mend()
        self.retry()
        self.wait_for(
            lambda: self.src.manager._parts.journal.get(uuid) is None
        )
        self.assertEqual([], self.allocations(uuid))


class BusyServerTestCase(test_arrival.ArrivalTestCase):
    """A user does something with a server that is not taken over in full."""

    def setUp(self):
        super().setUp()
        driver = self.computes['dest'].manager.driver
        name = 'post_live_migration_at_destination'
        self.mend = self.break_(driver, name)
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)

    def assert_asks_again(self, task_state):
        self.set_task_state(task_state)
        self.mend()
        self.retry()
        self.wait_for(lambda: 'cannot take the server' in self.problem())
        self.assert_not_over(self.server)
        self.set_task_state(None)
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)

    def test_what_is_declined_is_not_taken_for_done(self):
        """The record said completed, and the rest was never done."""
        self.assert_asks_again(task_states.IMAGE_SNAPSHOT)


class FailedRollbackTestCase(test_recovery.RestartTestCase):
    """A step of Nova's rollback fails after libvirt has refused."""

    def test_it_is_rolled_back_in_the_end(self):
        """Plain Nova: server ERROR, though its guest never stopped."""
        server = self.boot_with_port()
        original = self.src.manager._revert_allocation
        calls = []

        def fail(*args):
            calls.append(args)
            if len(calls) == 1:
                raise oslo_messaging.MessagingTimeout('no conductor')
            return original(*args)

        self.src.manager._revert_allocation = fail
        self.guests.hold(server)
        self.migrate(server)
        self.guests.wait_running(server)
        self.guests.fail(server)
        self.assert_left(server, 'failed')
        self.assertEqual('Error', self._event(server))

    def test_the_control_plane_is_away_when_its_end_is_told(self):
        """The events stayed open for ever."""
        server = self.boot_with_port()
        self.guests.hold(server)
        self.migrate(server)
        self.guests.wait_running(server)
        failed = []
        for name in ('_close', '_end_open'):
            fail_once(self, name, failed)
        self.guests.fail(server)
        self.wait_status(server, 'failed')
        self.wait_for(lambda: len(failed) == 2)
        self.look()
        self.assert_left(server, 'failed')
        self.assertEqual('Error', self._event(server))


def fail_once(test, name, failed):
    """Have what is told of an end fail the first time."""
    original = getattr(event, name)

    def call(*args):
        if name in failed:
            return original(*args)
        failed.append(name)
        raise oslo_messaging.MessagingTimeout('no conductor')

    test.useFixture(fixtures.MonkeyPatch(f'{event.__name__}.{name}', call))


class ObserverTestCase(test_recovery.RestartTestCase):
    """Nova's monitor of a migration fails; libvirt goes on (LP 1905944)."""

    def test_a_healthy_transfer_is_not_aborted(self):
        """Plain Nova aborts, for a statistic that could not be saved."""
        server = self.boot_with_port()
        failed = []

        def save(*args):
            failed.append(args)
            raise oslo_messaging.MessagingTimeout('no conductor')

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.jobStats',
                lambda domain, flags=0: save(domain),
            )
        )
        self.guests.hold(server)
        self.migrate(server)
        self.guests.wait_running(server)
        self.wait_for(lambda: failed)
        self.assertEqual('running', self.status(server))
        self.guests.release(server)
        self.assert_moved(server)

    def test_one_that_fails_unseen_is_rolled_back(self):
        server = self.boot_with_port()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.virt.libvirt.migration.find_job_type', self.fail_to_find
            )
        )
        self.guests.hold(server)
        self.migrate(server)
        self.guests.wait_running(server)
        self.guests.fail(server)
        self.assert_left(server, 'failed')

    def fail_to_find(self, *args):
        raise nova_exception.InternalError('libvirt is away')

    def test_a_guest_that_cannot_be_looked_up_stays(self):
        """Before the call: plain Nova puts the server into ERROR."""
        server = self.boot_with_port()
        original = self.src.manager.driver._live_migration

        def fail(*args):
            self.src.manager.driver._live_migration = original
            raise nova_exception.InternalError('libvirt is away')

        self.src.manager.driver._live_migration = fail
        self.migrate(server)
        self.assert_left(server, 'failed')
        self.assertEqual([], self.guests.started)


class DeadSourceTestCase(test_recovery.RestartTestCase):
    """A guest arrives, and its source dies before it says so."""

    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.wait_status(self.server, 'running')
        self.kill()
        self.guests.release(self.server)
        self.wait_for(lambda: not self.guests.running)
        domain = self._connection.lookupByUUIDString(self.server['id'])
        domain.destroy()
        domain.undefine()

    def set_down(self, down):
        self.api.put_service(self.service_id('src'), {'forced_down': down})

    def service_id(self, host):
        (service,) = self.api.get_services(host=host, binary='nova-compute')
        return service['id']

    def take_over(self):
        self.set_down(True)
        self.look('dest')
        self.assert_on(self.server, 'dest')

    def test_the_destination_takes_the_server_over(self):
        """Plain Nova leaves it MIGRATING on a host that is gone."""
        self.take_over()
        self.wait_status(self.server, 'completed')
        self.assert_bound(self.server, 'dest')
        self.assertEqual(['dest'], self.allocations_of(self.server['id']))
        # So that the host can be started again, and the test end.
        self.set_down(False)
        self.start_again()
        self.assert_moved_unseen()

    def test_another_request_has_come_since(self):
        """Its action had the event, which found no end there."""
        context = nova_context.get_admin_context()
        context.request_id = nova_context.RequestContext().request_id
        objects.InstanceAction.action_start(
            context, self.server['id'], 'live-migration'
        )
        self.take_over()
        newest, first = self.action_events(self.server)
        self.assertEqual([], newest)
        self.assertIn(
            'compute_post_live_migration_at_destination',
            [each['event'] for each in first if each['finish_time']],
        )
        self.set_down(False)
        self.start_again()
        self.assert_moved_unseen()

    def allocations_of(self, uuid):
        """Return the allocations, also those of a host that is gone."""
        found = self.placement.get(f'/allocations/{uuid}').body
        names = {uuid: name for name, uuid in self.compute_rp_uuids.items()}
        return sorted(
            names.get(provider, 'src') for provider in found['allocations']
        )

    def assert_moved_unseen(self):
        self.wait_for(lambda: self._journaled(self.server) is None)
        self.wait_status(self.server, 'completed')
        self.assert_on(self.server, 'dest')
        self.assertEqual(['dest'], self.allocations(self.server['id']))
        uuid = self.migration(self.server).uuid
        self.wait_for(lambda: self.allocations(uuid) == [])

    def test_the_source_comes_back(self):
        """It asks the destination, of which a step fails at first."""
        network = self.computes['dest'].manager.network_api
        original = network.migrate_instance_finish
        failed = []

        def fail(*args, **kwargs):
            network.migrate_instance_finish = original
            failed.append(args)
            raise RuntimeError('down')

        network.migrate_instance_finish = fail
        self.start_again()
        self.wait_for(lambda: failed)
        self.wait_for(self.is_completed)
        self.assert_moved(self.server)

    def is_completed(self):
        self.retry()
        return self.status(self.server) == 'completed'

    def test_a_source_that_is_up_is_waited_for(self):
        self.look('dest')
        found = self.api.get_server(self.server['id'])
        self.assertEqual('src', found['OS-EXT-SRV-ATTR:host'])
        self.start_again()
        self.assert_moved(self.server)


class MovedOnTestCase(test_arrival.ArrivalTestCase):
    """A server goes on while its migration is not finished (R14)."""

    hosts = ('src', 'dest', 'other')

    def test_a_restart_does_not_take_the_server_back(self):
        """The destination had finished; the source was killed before."""
        self.break_rest(
            oslo_messaging.MessagingTimeout('no reply'), is_done=True
        )
        self.migrate(self.server)
        first = self.migration(self.server)
        recovery = self.src.manager._recovery
        self.wait_for(lambda: first.uuid in recovery._pending)
        self.wait_for(lambda: recovery.idle)
        self.assert_on(self.server, 'dest')
        self.kill()
        self.stub_out(
            'oslo_messaging.rpc.client._BaseCallContext.call',
            self.original_call,
        )
        self.ask_for_migration(self.server, 'other')
        self.assert_on(self.server, 'other')
        self.wait_for(
            lambda: self.migration(self.server).status == 'completed'
        )
        self.start_again()
        self.wait_for(
            lambda: self.src.manager._parts.journal.get(first.uuid) is None
        )
        self.assert_on(self.server, 'other')
        self.assertEqual(['other'], self.allocations(self.server['id']))
        self.assertEqual([], self.allocations(first.uuid))
        self.assert_bound(self.server, 'other')

    def setUp(self):
        super().setUp()
        self.original_call = test_arrival.rpc_client._BaseCallContext.call


class LeftoverTestCase(test_recovery.RestartTestCase):
    """A request died with its conductor: it never reached the source."""

    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.rpcapi.ComputeAPI.live_migration',
                lambda *args, **kwargs: None,
            )
        )
        self.ask_for_migration(self.server)
        self.wait_for(
            lambda: (
                self.api.get_server(self.server['id'])['OS-EXT-STS:task_state']
                == 'migrating'
            )
        )
        self.wait_status(self.server, 'accepted')

    def test_the_control_plane_is_away_when_its_end_is_told(self):
        """The events stayed open for ever."""
        self.flags(long_rpc_timeout=1)
        self.open_event(self.server)
        failed = []
        fail_once(self, '_end_open', failed)
        with self.clock_ahead(3600):
            self.look()
        self.wait_status(self.server, 'error')
        self.assertEqual(['_end_open'], failed)
        self.look()
        self.assert_events_end(self.server)

    def test_it_is_taken_out_once_nobody_can_work_on_it(self):
        self.flags(long_rpc_timeout=1)
        record = self.migration(self.server)
        with self.clock_ahead(3600):
            self.look()
        self.wait_status(self.server, 'error')
        self.assert_on(self.server, 'src')
        self.assertEqual(['src'], self.allocations(self.server['id']))
        self.assertEqual([], self.allocations(record.uuid))
        self.assert_bound(self.server, 'src')

    def test_one_that_the_conductor_may_have_is_left_alone(self):
        self.look()
        self.assertEqual('accepted', self.status(self.server))
        self.test_it_is_taken_out_once_nobody_can_work_on_it()
