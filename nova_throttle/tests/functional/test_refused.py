# SPDX-License-Identifier: Apache-2.0

"""What fails outside of the source leaves nothing behind either."""

import contextlib
import datetime

import fixtures
from neutronclient.common import exceptions as neutron_exception
from nova.compute import rpcapi
from nova.compute import task_states
import nova.conf
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects
from nova.tests.functional.api import client

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_arrival
from nova_throttle.tests.functional import test_recovery


CONF = nova.conf.CONF
REVERT = 'nova.conductor.tasks.migrate.revert_allocation_for_migration'


class ConductorTestCase(test_recovery.RestartTestCase):
    """The conductor cannot see a request through: Placement is away."""

    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()
        # Of a conductor on another host.
        self.flags(host='ctl')

    def fail(self, reverts):
        """Have the conductor fail, and leave the server in ERROR."""

        def fail(*args, **kwargs):
            raise RuntimeError('Placement is away')

        with contextlib.ExitStack() as faults:
            faults.enter_context(
                fixtures.MonkeyPatch(
                    'nova.compute.rpcapi.ComputeAPI.live_migration', fail
                )
            )
            if not reverts:
                faults.enter_context(
                    fixtures.MonkeyPatch(REVERT, lambda *args: None)
                )
            # In one process a cast is a call.
            with contextlib.suppress(client.OpenStackApiException):
                self.ask_for_migration(self.server)
            self.wait_status(self.server, 'error')
        found = self.api.get_server(self.server['id'])
        self.assertEqual('ERROR', found['status'])

    def test_a_server_whose_guest_runs_is_active_again(self):
        """Plain Nova: ERROR until somebody resets it."""
        self.fail(reverts=True)
        self.look()
        self.assert_left(self.server, 'error', event=False)

    def test_the_allocations_are_given_back(self):
        self.fail(reverts=False)
        self.look()
        self.assert_left(self.server, 'error', event=False)
        self.migrate(self.server)
        self.assert_moved(self.server)

    def test_placement_was_killed_while_it_wrote(self):
        self.fail(reverts=False)
        self.orphan(self.server)
        self.look()
        self.assert_left(self.server, 'error', event=False)

    def test_a_server_whose_guest_is_off_is_left_alone_at_each_look(self):
        self.fail(reverts=True)
        self.src.driver._host.get_connection().lookupByUUIDString(
            self.server['id']
        ).destroy()
        begun = []
        self.src.manager._parts.cleanup.begin = lambda *args: begun.append(
            args
        )
        self.look()
        self.look()
        self.assertEqual([], begun)
        found = self.api.get_server(self.server['id'])
        self.assertEqual('ERROR', found['status'])

    def test_what_somebody_does_later_stays(self):
        self.fail(reverts=True)
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.source.refused.TOGETHER',
                datetime.timedelta(0),
            )
        )
        self.look()
        found = self.api.get_server(self.server['id'])
        self.assertEqual('ERROR', found['status'])

    def test_repair_leftovers_is_off(self):
        self.fail(reverts=False)
        self.flags(repair_leftovers=False, group='nova_throttle')
        self.look()
        found = self.api.get_server(self.server['id'])
        self.assertEqual('ERROR', found['status'])


class StartTestCase(test_recovery.RestartTestCase):
    """The source starts while the conductor has a request."""

    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()
        self.sent = []
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.rpcapi.ComputeAPI.live_migration',
                lambda *args, **kwargs: self.sent.append((args, kwargs)),
            )
        )
        self.original = self.src.manager.live_migration
        self.ask_for_migration(self.server)
        self.wait_for(lambda: self.sent)

    def test_the_server_stays_the_migrations(self):
        """Plain Nova lets another one begin under it."""
        self.restart()
        found = self.api.get_server(self.server['id'])
        self.assertEqual('migrating', found['OS-EXT-STS:task_state'])
        self.assertEqual('accepted', self.status(self.server))

    def test_a_server_that_is_put_to_rest_meanwhile(self):
        """Plain Nova: the service does not start."""
        record = self.migration(self.server)
        record.status = 'error'
        record.save()

        def reset(manager, context, instance):
            raise nova_exception.UnexpectedTaskStateError(
                instance_uuid=instance.uuid,
                expected={'task_state': ['migrating']},
                actual={'task_state': None},
            )

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.manager.ComputeManager._reset_live_migration',
                reset,
            )
        )
        self.restart()
        self.assertFalse(self.src.manager.throttle.closed)


class UndoTestCase(test_arrival.ArrivalTestCase):
    """The destination cannot undo what it prepared: Neutron is away."""

    def fail_without(self, target, name, error):
        def fail(*args, **kwargs):
            if self.away:
                raise error
            return original(*args, **kwargs)

        original = getattr(target, name)
        self.away = True
        setattr(target, name, fail)
        self.addCleanup(setattr, target, name, original)
        # In one process a cast is a call, which nobody else answers.
        cast = rpcapi.ComputeAPI.rollback_live_migration_at_destination

        def cast_only(*args, **kwargs):
            with contextlib.suppress(Exception):
                cast(*args, **kwargs)

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.rpcapi.ComputeAPI.'
                'rollback_live_migration_at_destination',
                cast_only,
            )
        )
        # As of servers whose disks are not shared.
        self.src.manager._live_migration_cleanup_flags = (
            lambda *args, **kwargs: (True, False)
        )
        self.guests.fail(self.server)
        self.migrate(self.server)
        self.wait_status(self.server, 'failed')

    def assert_undone_later(self):
        undo = self.computes['dest'].manager._undo
        self.wait_for(lambda: undo._left)
        self.look('dest')
        self.assertTrue(undo._left)
        self.away = False
        self.look('dest')
        self.assertFalse(undo._left)
        self.assert_left(self.server, 'failed')

    def test_a_binding_that_cannot_be_deleted(self):
        """Plain Nova leaves it there."""
        self.fail_without(
            self.computes['dest'].manager.network_api,
            'delete_port_binding',
            nova_exception.PortBindingDeletionFailed(
                port_id='a port', host='dest'
            ),
        )
        self.assert_undone_later()

    def test_all_of_it(self):
        self.fail_without(
            self.computes['dest'].manager.network_api,
            'get_instance_nw_info',
            RuntimeError('Neutron is away'),
        )
        self.assert_undone_later()

    def test_not_once_the_server_is_here(self):
        self.fail_without(
            self.computes['dest'].manager.network_api,
            'get_instance_nw_info',
            RuntimeError('Neutron is away'),
        )
        manager = self.computes['dest'].manager
        self.wait_for(lambda: manager._undo._left)
        self.away = False
        instance = objects.Instance.get_by_uuid(
            self.migration(self.server)._context, self.server['id']
        )
        instance.host = 'dest'
        instance.save()
        manager.driver.rollback_live_migration_at_destination = self.fail
        self.look('dest')
        self.assertFalse(manager._undo._left)


class LaterRequestTestCase(test_arrival.ArrivalTestCase):
    def test_one_that_has_not_begun_stops_no_arrival(self):
        """Its state was reset, and somebody asked again meanwhile."""
        paused = self.useFixture(
            pause.Paused(
                self.src.manager, '_post_live_migration', base.PATIENCE
            )
        )
        self.migrate(self.server)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        first = self.migration(self.server)
        later = objects.Migration(
            first._context,
            instance_uuid=first.instance_uuid,
            migration_type='live-migration',
            source_compute='src',
            status='accepted',
        )
        later.create()
        paused.proceed.set()
        self.assert_on(self.server, 'dest')
        self.assertEqual(['dest'], self.allocations(self.server['id']))
        self.assert_bound(self.server, 'dest')


class BindingTestCase(test_recovery.RestartTestCase):
    """Neutron binds, and its client learns only that there is a binding."""

    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()
        self.create = self.neutron.create_port_binding
        self.lose_answer()

    def lose_answer(self):
        def create(port_id, body):
            self.create(port_id, body)
            self.neutron.create_port_binding = self.create
            raise neutron_exception.Conflict()

        self.neutron.create_port_binding = create

    def refuse(self):
        with contextlib.suppress(client.OpenStackApiException):
            self.ask_for_migration(self.server)
        self.wait_status(self.server, 'error')
        self.assertEqual(['dest', 'src'], self.bindings_of(self.server))

    def test_of_a_host_that_was_refused(self):
        """Plain Nova: this server can never migrate there again."""
        self.refuse()
        self.look()
        self.assertEqual(['src'], self.bindings_of(self.server))
        self.migrate(self.server)
        self.assert_moved(self.server)

    def test_of_one_that_moved_to_another_host(self):
        self.start_compute(hostname='other')
        self.refuse()
        self.ask_for_migration(self.server, 'other')
        self.wait_status(self.server, 'completed')
        self.assert_on(self.server, 'other')
        self.look('other')
        self.assertEqual(['other'], self.bindings_of(self.server))

    def test_of_one_that_migrates_again_they_stay(self):
        self.refuse()
        self.start_compute(hostname='other')
        self.guests.hold(self.server)
        self.ask_for_migration(self.server, 'other')
        self.guests.wait_running(self.server)
        self.look()
        self.assertEqual(
            ['dest', 'other', 'src'], self.bindings_of(self.server)
        )
        self.guests.release(self.server)
        self.wait_status(self.server, 'completed')
        self.look('other')
        self.assertEqual(['other'], self.bindings_of(self.server))

    def test_neutron_is_away(self):
        self.refuse()
        down = []

        def fail(port_id):
            down.append(port_id)
            raise neutron_exception.ConnectionFailed(reason='down')

        self.neutron.list_port_bindings = fail
        self.look()
        self.assertEqual(1, len(down))
        del self.neutron.list_port_bindings
        self.look()
        self.assertEqual(['src'], self.bindings_of(self.server))


class OpenEventTestCase(test_recovery.RestartTestCase):
    """The conductor is killed when the migration is over already."""

    def see_later(self, host, server):
        self.open_event(server)
        self.look(host)
        # Somebody may be about to end it.
        self.assertEqual(1, len(self.open_events(server)))
        with self.clock_ahead(120):
            self.look(host)
        self.assertEqual([], self.open_events(server))

    def test_of_one_that_failed(self):
        server = self.boot_with_port()
        self.guests.hold(server)
        self.migrate(server)
        self.guests.wait_running(server)
        self.guests.fail(server)
        self.assert_left(server, 'failed')
        self.see_later('src', server)

    def test_of_one_that_arrived(self):
        server = self.boot_with_port()
        self.migrate(server)
        self.assert_moved(server)
        self.see_later('dest', server)


class LostTestCase(test_recovery.RestartTestCase):
    """The bus was killed with the only copy of a request."""

    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()

    def lose(self, seconds):
        """Leave what the API leaves that many seconds ago."""
        context = nova_context.get_admin_context()
        instance = objects.Instance.get_by_uuid(context, self.server['id'])
        instance.task_state = task_states.MIGRATING
        instance.save()
        context.request_id = nova_context.RequestContext().request_id
        context.timestamp -= datetime.timedelta(seconds=seconds)
        objects.InstanceAction.action_start(
            context, self.server['id'], 'live-migration'
        )

    def task_state(self):
        found = self.api.get_server(self.server['id'])
        return found['OS-EXT-STS:task_state']

    def test_a_request_that_is_lost_leaves_the_server_at_rest(self):
        """Plain Nova: MIGRATING until its host is restarted."""
        self.lose(CONF.long_rpc_timeout + 60)
        self.look()
        self.assertIsNone(self.task_state())
        self.assertEqual('Error', self._event(self.server))
        self.migrate(self.server)
        self.assert_moved(self.server)

    def test_one_that_may_come_is_waited_for(self):
        self.lose(CONF.long_rpc_timeout - 60)
        self.look()
        self.assertEqual('migrating', self.task_state())

    def test_one_that_has_a_record_is_not_lost(self):
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        patience = CONF.long_rpc_timeout
        self.flags(long_rpc_timeout=0)
        self.look()
        self.flags(long_rpc_timeout=patience)
        self.assertEqual('migrating', self.task_state())
        self.guests.release(self.server)
        self.assert_moved(self.server)
