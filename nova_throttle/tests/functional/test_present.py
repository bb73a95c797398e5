# SPDX-License-Identifier: Apache-2.0


"""Nothing is written on old knowledge: whose server is it by now?"""

import threading

import fixtures
from nova.conductor.tasks import live_migrate
from nova import context as nova_context
from nova.db.main import api as db
from nova import objects
from nova.tests.functional.api import client
import oslo_messaging as messaging

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_recovery


class PresentTestCase(test_recovery.RestartTestCase):
    """Three hosts, a server that may run, and one with a port."""

    hosts = ('src', 'dest', 'other')

    def setUp(self):
        super().setUp()
        self.a = self.boot(1)[0]
        self.b = self.boot_with_port()

    def queue(self):
        """Have the server with the port wait behind the other one."""
        self.guests.hold(self.a)
        self.migrate(self.a)
        self.guests.wait_running(self.a)
        self.migrate(self.b)
        return self.migration(self.b)

    def run_one(self):
        self.guests.hold(self.b)
        self.migrate(self.b)
        self.guests.wait_running(self.b)
        self.wait_status(self.b, 'running')
        return self.migration(self.b)

    def hold_preparation(self):
        """Have the first one stop while its destination prepares."""
        reached, self.proceed = threading.Event(), threading.Event()
        self.addCleanup(self.proceed.set)
        api = self.src.manager.compute_rpcapi
        original = api.pre_live_migration

        def pre_live_migration(*args, **kwargs):
            reached.set()
            self.proceed.wait(base.PATIENCE)
            return original(*args, **kwargs)

        api.pre_live_migration = pre_live_migration
        self.guests.hold(self.b)
        self.migrate(self.b)
        self.assertTrue(reached.wait(base.PATIENCE))
        self.wait_status(self.b, 'preparing')
        return self.migration(self.b)

    def reset_state(self):
        self.api.post_server_action(
            self.b['id'], {'os-resetState': {'state': 'active'}}
        )

    def ask_again(self, host='other'):
        """Have an administrator reset the state and ask once more."""
        self.reset_state()
        self.ask_for_migration(self.b, host)
        return self.migration(self.b)

    def record(self, migration):
        (found,) = (
            m for m in self.migrations(self.b) if m.uuid == migration.uuid
        )
        return found

    def wait_record(self, migration, *statuses):
        self.wait_for(
            lambda: self.record(migration).status in statuses,
            lambda: f'{self.record(migration).status}, not {statuses}',
        )

    def task_state(self):
        return self.api.get_server(self.b['id'])['OS-EXT-STS:task_state']

    def break_once(self, target, *names):
        """Have methods fail until what is returned is called."""

        def fail(*args, **kwargs):
            raise RuntimeError('down')

        originals = {name: getattr(target, name) for name in names}
        for name in names:
            setattr(target, name, fail)

        def mend():
            for name in names:
                setattr(target, name, originals[name])

        return mend

    def break_network(self):
        return self.break_once(
            self.src.manager.network_api,
            'setup_networks_on_host',
            'delete_port_binding',
        )

    def assert_gone(self, migration):
        """Check that nothing of a migration is left."""
        journal = self.src.manager._parts.journal
        self.wait_for(
            lambda: journal.get(migration.uuid) is None or self.retry()
        )
        self.assertEqual([], self.allocations(migration.uuid))
        self.wait_for(lambda: migration.uuid not in self.owners())

    def assert_moved_to(self, host):
        self.wait_status(self.b, 'completed')
        self.assert_on(self.b, host)
        self.wait_for(
            lambda: self.allocations(self.migration(self.b).uuid) == []
        )
        self.assertEqual([host], self.allocations(self.b['id']))
        self.assert_bound(self.b, host)


class LateCleanUpTestCase(PresentTestCase):
    """The first one leaves while a service is down; another is asked for."""

    def leave_late(self, mend, host):
        first = self.queue()
        mend_all = mend()
        self.abort(self.b)
        self.assertIsNotNone(self.src.manager._parts.journal.get(first.uuid))
        second = self.ask_again(host)
        self.assertEqual('queued', second.status)
        mend_all()
        self.retry()
        self.assert_gone(first)
        self.assertEqual('cancelled', self.record(first).status)
        self.assertEqual('queued', self.record(second).status)
        self.assertEqual('migrating', self.task_state())
        self.assertEqual(sorted(['src', host]), self.bindings_of(self.b))
        self.assertEqual([host], self.allocations(self.b['id']))
        self.assertEqual(['src'], self.allocations(second.uuid))
        self.guests.release(self.a)
        self.assert_moved_to(host)

    def test_a_newer_one_to_another_host_is_left_alone(self):
        self.leave_late(self.break_network, 'other')

    def test_a_newer_one_to_the_same_host_is_left_alone(self):
        self.leave_late(self.break_network, 'dest')

    def break_placement(self):
        return self.break_once(
            self.src.manager.reportclient, 'get_allocs_for_consumer'
        )

    def test_what_the_first_one_allocates_passes_on(self):
        self.leave_late(self.break_placement, 'other')

    def test_a_server_that_was_moved_on_meanwhile(self):
        first = self.queue()
        mend = self.break_network()
        self.abort(self.b)
        self.guests.release(self.a)
        self.wait_for(lambda: self.owners() == ())
        mend()
        self.ask_again('other')
        self.wait_status(self.b, 'completed')
        self.assert_on(self.b, 'other')
        self.retry()
        self.assert_gone(first)
        self.assert_moved_to('other')

    def test_a_server_that_was_moved_and_came_back(self):
        first = self.queue()
        mend = self.break_placement()
        self.abort(self.b)
        mend()
        self.guests.release(self.a)
        self.wait_for(lambda: self.owners() == ())
        self.ask_again('other')
        self.wait_status(self.b, 'completed')
        self.assert_on(self.b, 'other')
        self.ask_for_migration(self.b, 'src')
        self.assert_moved_to('src')
        self.retry()
        self.assert_gone(first)
        self.assert_moved_to('src')

    def test_a_newer_one_that_failed_leaves_the_rest_to_the_first(self):
        first = self.queue()
        mend = self.break_placement()
        self.abort(self.b)
        second = self.ask_again('other')
        mend()
        self.abort(self.b)
        self.retry()
        self.assert_gone(first)
        self.assert_gone(second)
        self.assert_on(self.b, 'src')
        self.assertEqual(['src'], self.allocations(self.b['id']))
        self.assert_bound(self.b, 'src')


class SecondRequestTestCase(PresentTestCase):
    """One of a server whose state was reset, though it migrates."""

    def assert_refused(self, first, second):
        self.wait_record(second, 'error')
        self.assert_fault(self.b, f'live migration {first.uuid}')
        self.assert_gone(second)
        self.assertEqual('migrating', self.task_state())
        self.assertEqual(['dest', 'src'], self.bindings_of(self.b))
        self.assertEqual(['dest'], self.allocations(self.b['id']))
        self.assertEqual(['src'], self.allocations(first.uuid))
        self.assertEqual((first.uuid,), self.owners())

    def test_a_queued_first_one_makes_way(self):
        first = self.queue()
        second = self.ask_again()
        self.wait_record(first, 'cancelled')
        self.assert_gone(first)
        self.assertEqual('queued', self.record(second).status)
        self.assertEqual('migrating', self.task_state())
        self.assertEqual(['other', 'src'], self.bindings_of(self.b))
        self.guests.release(self.a)
        self.assert_moved_to('other')
        self.assertEqual('cancelled', self.record(first).status)

    def test_a_queued_first_one_to_the_same_host_makes_way(self):
        first = self.queue()
        self.ask_again('dest')
        self.wait_record(first, 'cancelled')
        self.assert_gone(first)
        self.guests.release(self.a)
        self.assert_moved_to('dest')

    def test_is_refused_while_the_first_one_prepares(self):
        first = self.hold_preparation()
        self.assert_refused(first, self.ask_again())
        self.proceed.set()
        self.guests.release_all()
        self.wait_record(first, 'completed')
        self.assert_on(self.b, 'dest')
        self.assertEqual(['dest'], self.allocations(self.b['id']))
        self.assert_bound(self.b, 'dest')

    def test_is_refused_while_the_first_one_runs(self):
        first = self.run_one()
        self.assert_refused(first, self.ask_again())
        self.guests.release(self.b)
        self.assert_first_arrives(first)

    def test_to_the_same_host_is_refused_and_takes_nothing_away(self):
        first = self.run_one()
        self.assert_refused(first, self.ask_again('dest'))
        self.guests.release(self.b)
        self.assert_first_arrives(first)

    def assert_first_arrives(self, first):
        self.wait_record(first, 'completed')
        self.assert_on(self.b, 'dest')
        self.wait_for(lambda: self.owners() == ())
        self.wait_for(lambda: self.allocations(first.uuid) == [])
        self.assertEqual(['dest'], self.allocations(self.b['id']))
        self.assert_bound(self.b, 'dest')

    def test_the_first_one_is_rolled_back_all_the_same(self):
        first = self.run_one()
        self.assert_refused(first, self.ask_again())
        self.guests.fail(self.b)
        self.wait_record(first, 'failed')
        self.assert_first_stays(first)

    def assert_first_stays(self, first):
        self.assert_on(self.b, 'src')
        self.wait_for(lambda: self.owners() == ())
        self.assert_gone(first)
        self.assertEqual(['src'], self.allocations(self.b['id']))
        self.assert_bound(self.b, 'src')

    def test_the_first_one_can_be_aborted(self):
        first = self.run_one()
        self.assert_refused(first, self.ask_again())
        self.abort_one(first)
        self.wait_record(first, 'cancelled')
        self.assert_first_stays(first)

    def abort_one(self, migration):
        self.api.api_delete(
            f'/servers/{self.b["id"]}/migrations/{migration.id}'
        )

    def test_an_abort_of_the_older_leaves_the_newer_alone(self):
        first = self.queue()
        mend = self.break_network()
        self.abort_one(first)
        second = self.ask_again()
        self.assertEqual('queued', self.record(first).status)
        # Casts are calls here.
        self.assertRaises(client.OpenStackApiException, self.abort_one, first)
        mend()
        self.assert_gone(first)
        self.assertEqual('queued', self.record(second).status)
        self.guests.release(self.a)
        self.assert_moved_to('other')

    def test_is_refused_although_the_refusal_needs_a_service_that_is_down(
        self,
    ):
        first = self.run_one()
        mend = self.break_network()
        second = self.ask_again()
        mend()
        self.guests.fail(self.b)
        self.wait_record(first, 'failed')
        self.retry()
        self.wait_record(second, 'error')
        self.assert_first_stays(first)

    def test_is_refused_while_a_restart_has_the_first_one_in_hand(self):
        first = self.run_one()
        self.kill()
        # libvirt will not abort, as in post-copy mode.
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.abortJob',
            lambda domain: self.guests.refuse(),
        )
        self.start_again()
        self.wait_for(lambda: self.owners() == (first.uuid,))
        self.assert_refused(first, self.ask_again())
        self.guests.release(self.b)
        self.wait_for(lambda: not self.guests.running)
        self.look('src')
        self.assert_first_arrives(first)


class ResetStateTestCase(PresentTestCase):
    """The state is reset while it migrates, and nobody asks again."""

    def test_it_arrives(self):
        self.run_one()
        self.reset_state()
        self.guests.release(self.b)
        self.assert_moved(self.b)

    def test_it_is_rolled_back(self):
        self.run_one()
        self.reset_state()
        self.guests.fail(self.b)
        self.assert_left(self.b, 'failed')

    def test_its_destination_cannot_prepare(self):
        self.hold_preparation()
        self.reset_state()

        def refuse(*args, **kwargs):
            raise RuntimeError('the destination cannot prepare')

        dest = self.computes['dest'].manager
        setattr(dest, base.preparation(dest), refuse)
        self.proceed.set()
        # Nova notes the failure first.
        self.wait_for(lambda: self.allocations(self.b['id']) == ['src'])
        self.wait_for(lambda: self._journaled(self.b) is None)
        self.assert_left(self.b, self.status(self.b))


class UnreadableTestCase(PresentTestCase):
    def test_a_rollback_waits_until_the_records_can_be_read(self):
        first = self.run_one()
        down = threading.Event()
        get = objects.MigrationList.get_by_filters

        def get_by_filters(cls, *args, **kwargs):
            if down.is_set():
                raise RuntimeError('down')
            return get(*args, **kwargs)

        self.stub_out(
            'nova.objects.MigrationList.get_by_filters',
            classmethod(get_by_filters),
        )
        down.set()
        self.guests.fail(self.b)
        cleanup = self.src.manager._parts.cleanup
        self.wait_for(lambda: cleanup.knows(first.uuid))
        self.wait_for(lambda: self.owners() == ())
        down.clear()
        self.assert_gone(first)
        self.assert_left(self.b, 'failed')


class LateMessageTestCase(PresentTestCase):
    """What the source sent is delivered when the server has moved on."""

    def move_on(self):
        """Migrate to one host, and on to another."""
        self.migrate(self.b)
        self.assert_moved_to('dest')
        first = self.migration(self.b)
        self.ask_for_migration(self.b, 'other')
        self.assert_moved_to('other')
        return first

    def late(self):
        context = nova_context.get_admin_context()
        instance = objects.Instance.get_by_uuid(context, self.b['id'])
        return context, instance

    def test_that_it_arrived(self):
        self.move_on()
        context, instance = self.late()
        instance.host = 'src'
        self.computes['dest'].manager.post_live_migration_at_destination(
            context, instance, False
        )
        self.assert_moved_to('other')

    def test_that_it_arrived_while_it_leaves_again(self):
        self.migrate(self.b)
        self.assert_moved_to('dest')
        self.guests.hold(self.b)
        self.ask_for_migration(self.b, 'other')
        self.guests.wait_running(self.b)
        self.wait_status(self.b, 'running')
        context, instance = self.late()
        self.computes['dest'].manager.post_live_migration_at_destination(
            context, instance, False
        )
        self.assertEqual('migrating', self.task_state())
        self.guests.release(self.b)
        self.assert_moved_to('other')

    def test_that_it_arrived_while_it_is_asked_to_leave_again(self):
        """The conductor has that request; a third one would be let in."""
        self.migrate(self.b)
        self.assert_moved_to('dest')
        sent = []
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.rpcapi.ComputeAPI.live_migration',
                lambda *args, **kwargs: sent.append(kwargs),
            )
        )
        self.ask_for_migration(self.b, 'other')
        self.wait_for(lambda: sent)
        self.wait_status(self.b, 'accepted')
        context, instance = self.late()
        instance.host = 'src'
        self.computes['dest'].manager.post_live_migration_at_destination(
            context, instance, False
        )
        self.assertEqual('migrating', self.task_state())

    def test_that_it_arrived_while_it_comes_once_more(self):
        """The destination took it over while its guest was elsewhere."""
        self.migrate(self.b)
        self.assert_moved_to('dest')
        self.ask_for_migration(self.b, 'src')
        self.assert_moved_to('src')
        self.forget_domain('dest')
        self.run_one()
        context, instance = self.late()
        self.assertRaises(
            messaging.ExpectedException,
            self.computes['dest'].manager.post_live_migration_at_destination,
            context,
            instance,
            False,
        )
        self.assertEqual('migrating', self.task_state())
        found = self.api.get_server(self.b['id'])
        self.assertEqual('src', found['OS-EXT-SRV-ATTR:host'])
        self.guests.release(self.b)
        self.assert_moved_to('dest')

    def forget_domain(self, host):
        """Have the fake do what libvirt does when a guest has left."""
        connection = self.computes[host].driver._host.get_connection()
        domain = connection.lookupByUUIDString(self.b['id'])
        domain.destroy()

    def test_a_rollback_leaves_a_guest_that_runs_there(self):
        first = self.move_on()
        context, instance = self.late()
        data = objects.LibvirtLiveMigrateData(
            migration=first,
            is_shared_instance_path=True,
            is_shared_block_storage=True,
        )
        manager = self.computes['other'].manager
        manager.rollback_live_migration_at_destination(
            context, instance, False, data
        )
        self.assertTrue(manager.driver.instance_exists(instance))
        self.assert_bound(self.b, 'other')

    def test_a_rollback_leaves_what_a_newer_one_prepared(self):
        self.migrate(self.b)
        self.assert_moved_to('dest')
        first = self.migration(self.b)
        self.ask_for_migration(self.b, 'src')
        self.assert_moved_to('src')
        self.run_one()
        context, instance = self.late()
        data = objects.LibvirtLiveMigrateData(
            migration=first,
            is_shared_instance_path=True,
            is_shared_block_storage=True,
        )
        self.computes['dest'].manager.rollback_live_migration_at_destination(
            context, instance, False, data
        )
        self.assertEqual(['dest', 'src'], self.bindings_of(self.b))
        self.guests.release(self.b)
        self.assert_moved_to('dest')


class MovedOnTestCase(PresentTestCase):
    """The source is dead while its server arrives and is moved on."""

    def test_a_restart_does_not_take_it_back(self):
        first = self.run_one()
        self.kill()
        self.guests.release(self.b)
        self.wait_for(lambda: not self.guests.running)
        context = nova_context.get_admin_context()
        instance = objects.Instance.get_by_uuid(context, self.b['id'])
        self.computes['dest'].manager.post_live_migration_at_destination(
            context, instance, False
        )
        self.ask_for_migration(self.b, 'other')
        self.wait_status(self.b, 'completed')
        self.assert_on(self.b, 'other')
        self.start_again()
        self.assert_gone(first)
        self.wait_record(first, 'completed')
        self.assert_moved_to('other')


class EagerUserTestCase(PresentTestCase):
    """A server is to move on while its source still finishes."""

    def test_the_source_allocates_nothing_for_the_newer_one(self):
        """That has taken what there was; its scheduler has yet to choose."""
        finish = self.useFixture(
            pause.Paused(
                self.src.manager,
                '_delete_allocation_after_move',
                base.PATIENCE,
            )
        )
        self.migrate(self.b)
        self.assertTrue(finish.started.wait(base.PATIENCE))
        first = self.migration(self.b)
        self.wait_for(lambda: self.task_state() is None)
        task = live_migrate.LiveMigrationTask
        choose = task._find_destination

        def finish_and_choose(task):
            finish.proceed.set()
            self.assert_gone(first)
            return choose(task)

        self.useFixture(
            fixtures.MockPatchObject(
                task, '_find_destination', finish_and_choose
            )
        )
        self.ask_for_migration(self.b, 'other')
        self.wait_status(self.b, 'completed')
        self.assert_moved_to('other')
        self.assertEqual(['other'], self.allocations(self.b['id']))


class ReusedNumberTestCase(PresentTestCase):
    """The number of a purged record is given to another migration."""

    def swap_numbers(self, migration, other):
        """Give a record the number that another one had."""
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            db.migration_update(cell_context, migration.id, {'id': 9000})
            db.migration_update(cell_context, other.id, {'id': migration.id})

    def test_after_a_restart(self):
        first = self.queue()
        self.wait_status(self.a, 'running')
        self.swap_numbers(first, self.migration(self.a))
        self.kill()
        self.guests.release_all()
        self.wait_for(lambda: not self.guests.running)
        self.start_again()
        self.assert_moved(self.b)
        self.wait_status(self.a, 'completed')

    def test_at_its_turn(self):
        first = self.queue()
        (c,) = self.boot(1)
        self.guests.hold(c)
        self.migrate(c)
        self.swap_numbers(first, self.migration(c))
        self.guests.release(self.a)
        self.assert_moved(self.b)
        self.assertNotEqual('completed', self.status(c))
        self.guests.release(c)
        self.wait_status(c, 'completed')

    def test_when_it_leaves(self):
        first = self.queue()
        (c,) = self.boot(1)
        self.migrate(c)
        self.swap_numbers(first, self.migration(c))
        self.reset_state()
        self.guests.hold(c)
        self.guests.release(self.a)
        self.wait_record(first, 'error')
        self.guests.wait_running(c)
        self.assertNotEqual('error', self.status(c))
        self.guests.release(c)
        self.wait_status(c, 'completed')


class LeakTestCase(PresentTestCase):
    def test_a_server_that_is_deleted_while_it_migrates(self):
        """Plain Nova keeps the allocation of the source for ever."""
        first = self.run_one()
        self.delete()
        self.guests.fail(self.b)
        self.wait_for(lambda: self.owners() == ())
        self.wait_for(lambda: self._journaled_one(first) is None)
        self.wait_for(lambda: self.allocations(first.uuid) == [])
        self.assertEqual([], self.allocations(self.b['id']))

    def _journaled_one(self, migration):
        return self.src.manager._parts.journal.get(migration.uuid)

    def delete(self):
        self.api.delete_server(self.b['id'])
        self._wait_until_deleted(self.b)

    def test_a_server_that_is_deleted_in_the_middle_of_the_rollback(self):
        """What was reverted after Nova had deleted the allocations."""
        first = self.run_one()
        reached, proceed = threading.Event(), threading.Event()
        self.addCleanup(proceed.set)
        manager = self.src.manager
        destroy = objects.Instance.destroy

        def slow(instance, *args, **kwargs):
            reached.set()
            proceed.wait(base.PATIENCE)
            return destroy(instance, *args, **kwargs)

        self.stub_out('nova.objects.Instance.destroy', slow)
        self.in_background(self.api.delete_server, self.b['id'])
        self.assertTrue(reached.wait(base.PATIENCE))
        self.guests.fail(self.b)
        self.wait_for(lambda: self.owners() == ())
        proceed.set()
        self._wait_until_deleted(self.b)
        self.wait_for(
            lambda: (
                self.retry() or not manager._parts.cleanup.knows(first.uuid)
            )
        )
        self.wait_for(lambda: self.allocations(first.uuid) == [])
        self.assertEqual([], self.allocations(self.b['id']))

    def force_down(self, down):
        service = self.api.get_services(host='src', binary='nova-compute')[0]
        self.api.put_service_force_down(service['id'], down)

    def evacuate(self, host='other'):
        """Have the source die and its server be evacuated."""
        self.kill()
        self.force_down(True)
        self._evacuate_server(
            self.b,
            extra_post_args={'host': host},
            expected_host=host,
            expected_state='ACTIVE',
        )
        self.guests.release_all()
        self.wait_for(lambda: not self.guests.running)

    def assert_evacuated(self, first, host='other'):
        self.assertEqual(
            {self.compute_rp_uuids[host]},
            set(
                self.placement.get(f'/allocations/{self.b["id"]}').body[
                    'allocations'
                ]
            ),
        )
        body = self.placement.get(f'/allocations/{first.uuid}').body
        self.assertEqual({}, body['allocations'])
        self.assertEqual([host], self.bindings_of(self.b))
        self.wait_record(first, 'error')

    def test_of_a_queued_one_while_its_source_is_down(self):
        first = self.queue()
        self.evacuate()
        self.look('dest')
        self.assert_evacuated(first)

    def test_of_a_running_one_while_its_source_is_down(self):
        first = self.run_one()
        self.evacuate()
        self.look('dest')
        self.assert_evacuated(first)

    def test_of_one_that_is_evacuated_to_its_destination(self):
        first = self.queue()
        self.evacuate('dest')
        self.look('dest')
        self.assert_evacuated(first, 'dest')

    def come_back(self):
        self.start_again()
        self.force_down(False)
        self.look('src')

    def without_destination(self):
        """Have the destination not look at what it has."""
        self.computes['dest'].manager._housekeeping.stop()

    def test_of_a_queued_one_whose_source_comes_back(self):
        first = self.queue()
        self.without_destination()
        self.evacuate()
        self.come_back()
        self.assert_gone(first)
        self.assert_evacuated(first)

    def test_of_a_running_one_whose_source_comes_back(self):
        first = self.run_one()
        self.without_destination()
        self.evacuate()
        self.come_back()
        self.assert_gone(first)
        self.assert_evacuated(first)

    def test_a_server_that_was_not_evacuated_is_left_alone(self):
        """Its source counts as dead, and may come back."""
        first = self.queue()
        self.force_down(True)
        self.look('dest')
        self.assertEqual(['dest', 'src'], self.bindings_of(self.b))
        self.assertEqual(['dest'], self.allocations(self.b['id']))
        self.assertEqual(['src'], self.allocations(first.uuid))
        self.force_down(False)
        self.guests.release_all()
        self.assert_moved(self.b)
