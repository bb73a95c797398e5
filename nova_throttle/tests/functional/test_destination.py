# SPDX-License-Identifier: Apache-2.0

"""A limit on the receiving host, with several sources and destinations."""

import fixtures
from nova import context as nova_context
import oslo_messaging as messaging

from nova_throttle.admission import standstill
from nova_throttle.agreement import messages
from nova_throttle import overrides
from nova_throttle import rpcapi
from nova_throttle.tests.functional import test_recovery

ADMIN = nova_context.get_admin_context()


class DestinationTestCase(test_recovery.RestartTestCase):
    """Two sources and two destinations; one comes in at a time."""

    limit = 0
    options = {'max_incoming_live_migrations': 1}
    hosts = ('src', 'src2', 'dest', 'dest2')

    def gate(self, host='dest'):
        throttle = self.computes[host].manager.throttle
        return throttle.snapshot().gates[messages.DESTINATION]

    def entry(self, server, host='src'):
        uuid = self.migration(server).uuid
        queue = self.computes[host].manager.throttle.snapshot().queue
        return next(e for e in queue if e.migration_uuid == uuid)

    def uuids(self, *servers):
        return tuple(self.migration(server).uuid for server in servers)

    def boot_two(self):
        """Boot one server on each source, held once it migrates."""
        (a,), (b,) = self.boot(1), self.boot(1, host='src2')
        self.guests.hold(a, b)
        return a, b

    def occupy(self):
        """Have one server on its way to dest and another wait there."""
        a, b = self.boot_two()
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.wait_for(lambda: self.gate().waiting == self.uuids(b))
        return a, b

    def assert_all_moved(self, *servers, host='dest'):
        for server in servers:
            self.wait_status(server, 'completed')
            self.assert_on(server, host)
        self.wait_for(lambda: self.gate(host).owners == ())
        self.assertEqual(
            ((), ()), (self.gate(host).offered, self.gate(host).waiting)
        )


class OneComesInTestCase(DestinationTestCase):
    def test_sources_take_turns_in_the_order_of_arrival(self):
        (a, c), (b, d) = self.boot(2), self.boot(2, host='src2')
        self.guests.hold(a, b, c, d)
        for server in (a, b, c, d):
            self.migrate(server)
        for first in (a, b, c, d):
            self.guests.wait_running(first)
            self.wait_for(lambda s=first: self.gate().owners == self.uuids(s))
            self.guests.release(first)
        self.assert_all_moved(a, b, c, d)
        self.assertEqual(
            [server['id'] for server in (a, b, c, d)], self.guests.started
        )
        self.assertEqual(1, self.guests.most_running)

    def test_a_queued_one_says_what_it_waits_for(self):
        a, b = self.occupy()
        (c,) = self.boot(1)
        self.migrate(c)
        self.wait_for(lambda: self.gate().waiting == self.uuids(b, c))
        self.settle()
        (wait,) = self.entry(c).waits_for
        self.assertEqual(
            ('destination', 'dest', 1, self.uuids(a), 2),
            (wait.gate, wait.host, wait.limit, wait.owners, wait.position),
        )
        self.assertIn(
            f'{self.uuids(c)[0]} to dest waits, position 1 on this host: '
            'gate full: destination dest (1 of 1 in progress, position 2)',
            self.stdlog.logger.output,
        )
        self.guests.release(a, b)
        self.assert_all_moved(a, b, c)

    def test_the_reason_is_logged_once(self):
        _, b = self.occupy()
        for _ in range(3):
            self.look('src2')
        self.settle()
        line = f'Live migration {self.uuids(b)[0]} to dest waits'
        self.assertEqual(1, self.stdlog.logger.output.count(line))

    def test_the_instance_action_says_what_it_waits_for(self):
        a, b = self.occupy()
        name = 'nova_throttle_wait_destination'
        self.settle()
        self.wait_for(lambda: name in self.events(b))
        self.assertIsNone(self.events(b)[name]['finish_time'])
        self.guests.release_all()
        self.assert_all_moved(a, b)
        self.wait_for(lambda: self.events(b)[name]['result'] == 'Success')
        self.assertNotIn(name, self.events(a))

    def events(self, server):
        (events,) = self.action_events(server)
        return {event['event']: event for event in events}

    def test_a_busy_destination_holds_up_nobody_else(self):
        a, b = self.occupy()
        (c,) = self.boot(1, host='src2')
        self.migrate(c, host='dest2')
        self.assert_all_moved(c, host='dest2')
        self.assertEqual('queued', self.status(b))
        self.guests.release_all()
        self.assert_all_moved(a, b)

    def test_a_waiting_one_can_be_aborted(self):
        a, b = self.occupy()
        self.abort(b)
        self.wait_status(b, 'cancelled')
        self.wait_for(lambda: self.gate().waiting == ())
        self.guests.release(a)
        self.assert_all_moved(a)
        self.assert_on(b, 'src2')

    def test_a_failure_gives_the_slot_back(self):
        a, b = self.occupy()
        self.guests.fail(a)
        self.guests.release(b)
        self.assert_all_moved(b)
        self.assert_on(a, 'src')

    def test_the_limit_changes_at_run_time(self):
        a, b = self.occupy()
        rpcapi.ThrottleAPI('dest').set_limit(ADMIN, messages.DESTINATION, 2)
        self.guests.wait_running(a, b)
        self.assertEqual(2, self.gate().limit)
        rpcapi.ThrottleAPI('dest').set_limit(ADMIN, messages.DESTINATION, 1)
        self.wait_for(lambda: len(self.gate().owners) == 2)
        self.guests.release_all()
        self.assert_all_moved(a, b)

    def test_a_stopping_destination_takes_no_more(self):
        a, b = self.occupy()
        self.begin_to_stop('dest')
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: self.gate().owners == ())
        self.settle()
        (wait,) = self.entry(b, 'src2').waits_for
        self.assertEqual('service stops', wait.reason.value)
        self.computes['dest'].manager.throttle.resume(
            standstill.Standstill.STOPPING
        )
        self.look('dest')
        self.guests.release(b)
        self.assert_all_moved(b)


class BothGatesTestCase(DestinationTestCase):
    limit = 1

    def test_both_slots_or_none(self):
        """Two sources and two destinations, crosswise."""
        (a, b), (c, d) = self.boot(2), self.boot(2, host='src2')
        self.guests.hold(a, b, c, d)
        self.migrate(a)
        self.migrate(c, host='dest2')
        self.guests.wait_running(a, c)
        self.migrate(b, host='dest2')
        self.migrate(d)
        self.settle()
        for host, server in (('src', b), ('src2', d)):
            gates = {w.gate for w in self.entry(server, host).waits_for}
            self.assertEqual({'source', 'destination'}, gates)
        for host in self.hosts:
            owners = [
                owner
                for gate in self.computes[host]
                .manager.throttle.snapshot()
                .gates.values()
                for owner in gate.owners + gate.offered
            ]
            self.assertNotIn(self.uuids(b)[0], owners)
            self.assertNotIn(self.uuids(d)[0], owners)
        self.guests.release_all()
        for server, host in ((a, 'dest'), (b, 'dest2'), (d, 'dest')):
            self.wait_status(server, 'completed')
            self.assert_on(server, host)


class FaultTestCase(DestinationTestCase):
    """What is lost is found again, and no slot is given twice."""

    def lose(self, half, method):
        """Lose every message of a kind until the returned set is cleared."""
        original = getattr(half, method)
        losing = {method}

        def call(this, *args, **kwargs):
            if not losing:
                original(this, *args, **kwargs)

        self.useFixture(
            fixtures.MonkeyPatch(
                f'nova_throttle.rpcapi.{half.__name__}.{method}', call
            )
        )
        return losing

    def test_an_offer_that_is_lost_is_made_again(self):
        a, b = self.occupy()
        self.settle()
        losing = self.lose(rpcapi.HostAPI, 'tell')
        self.guests.release(a)
        self.wait_for(lambda: self.gate().offered == self.uuids(b))
        self.settle()
        losing.clear()
        self.assertEqual('queued', self.status(b))
        self.flags(group='nova_throttle', housekeeping_interval=1)
        self.wait_for(lambda: self.look('src2') or self.status(b) != 'queued')
        self.guests.release(b)
        self.assert_all_moved(a, b)

    def test_a_release_that_is_lost_is_found_in_the_record(self):
        a, b = self.occupy()
        self.settle()
        losing = self.lose(rpcapi._Line, 'cast')
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.settle()
        self.assertEqual(self.uuids(a), self.gate().owners)
        losing.clear()
        self.look('dest')
        self.guests.release(b)
        self.assert_all_moved(a, b)

    def test_a_destination_that_restarts_knows_its_owners(self):
        a, b = self.occupy()
        self.restart_compute_service('dest')
        self.wait_for(lambda: self.gate().waiting == self.uuids(b))
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.assertEqual('queued', self.status(b))
        self.guests.release_all()
        self.assert_all_moved(a, b)
        self.assertEqual(1, self.guests.most_running)

    def test_a_source_that_is_killed_keeps_its_slot_until_it_is_back(self):
        a, b = self.occupy()
        self.kill()
        self.look('dest')
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.assertEqual('queued', self.status(b))
        self.start_again()
        # It undoes what nobody has watched.
        self.wait_status(a, 'error')
        self.guests.wait_running(b)
        self.wait_for(lambda: self.gate().owners == self.uuids(b))
        self.guests.release_all()
        self.assert_all_moved(b)
        self.assert_on(a, 'src')
        self.assertEqual(1, self.guests.most_running)

    def test_a_source_that_stays_dead_leaves_the_line(self):
        a, b = self.occupy()
        (c,) = self.boot(1)
        self.migrate(c)
        self.wait_for(lambda: self.gate().waiting == self.uuids(b, c))
        self.settle()
        self.kill()
        self.force_down('src')
        self.look('dest')
        # What was running can't be seen to arrive any more.
        self.guests.wait_running(b)
        self.assertEqual(self.uuids(b), self.gate().owners)
        self.assertEqual((), self.gate().waiting)
        self.start_again()
        self.guests.release_all()
        for server in (a, b, c):
            self.wait_status(server, 'completed', 'error')

    def force_down(self, host):
        services = self.api.get_services(host=host, binary='nova-compute')
        self.api.put_service(services[0]['id'], {'forced_down': True})

    def test_a_dead_destination_fails_who_waits_for_it(self):
        a, b = self.occupy()
        self.settle()
        self.force_down('dest')
        self.flags(group='nova_throttle', housekeeping_interval=1)
        self.wait_for(lambda: self.look('src2') or self.status(b) == 'error')
        self.assert_on(b, 'src2')
        self.guests.release_all()
        self.wait_status(a, 'completed')


class PeerTestCase(DestinationTestCase):
    """With a host that does not run us (R12)."""

    hosts = ('src', 'src2', 'dest')

    def setUp(self):
        super().setUp()
        overrides.uninstall()
        self.start_compute(hostname='plain')
        overrides.install()

    def settle(self):
        computes = self.computes
        self.computes = {h: computes[h] for h in self.hosts if h in computes}
        super().settle()
        self.computes = computes

    def _end_migrations(self):
        self.guests.release_all()
        self.wait_for(lambda: not self.guests.running)
        self.settle()

    def test_a_destination_without_us_has_no_gate(self):
        a, b = self.boot_two()
        self.migrate(a, b, host='plain')
        self.guests.wait_running(a, b)
        self.guests.release_all()
        for server in (a, b):
            self.wait_status(server, 'completed')
            self.assert_on(server, 'plain')
        (c,) = self.boot(1)
        self.migrate(c, host='plain')
        self.wait_status(c, 'completed')
        line = 'Destination plain does not limit'
        # Once for each source.
        self.assertEqual(2, self.stdlog.logger.output.count(line))

    def test_what_a_source_without_us_sends_is_counted(self):
        (a,), (b,) = self.boot(1, host='plain'), self.boot(1)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.migrate(b)
        self.wait_for(lambda: self.gate().waiting == self.uuids(b))
        self.assertEqual('queued', self.status(b))
        self.guests.release_all()
        for server in (a, b):
            self.wait_status(server, 'completed')
            self.assert_on(server, 'dest')


class OldPeerTestCase(DestinationTestCase):
    """With hosts whose endpoint is older than what a source calls (R12)."""

    def setUp(self):
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.endpoint.ThrottleEndpoint.target',
                messaging.Target(namespace=rpcapi.NAMESPACE, version='1.0'),
            )
        )
        super().setUp()

    def test_it_has_no_gate(self):
        a, b = self.boot_two()
        self.migrate(a, b)
        self.guests.wait_running(a, b)
        self.assertIn(
            'Destination dest does not limit', self.stdlog.logger.output
        )
        self.guests.release_all()
        for server in (a, b):
            self.wait_status(server, 'completed')
            self.assert_on(server, 'dest')
        # Nobody told it: it finds that they are over in the records.
        self.look('dest')


class SpillOverTestCase(DestinationTestCase):
    """A full host declines what can as well go elsewhere."""

    hosts = ('src', 'src2', 'dest', 'dest2')
    options = {'max_incoming_live_migrations': 1, 'max_incoming_queue': 0}

    def setUp(self):
        super().setUp()
        # Nothing is to be scheduled to the sources.
        for host in ('src', 'src2'):
            self.addCleanup(self._enable, host, True)

    def _enable(self, host, enabled):
        (service,) = self.api.get_services(host=host, binary='nova-compute')
        self.api.put_service(
            service['id'], {'status': 'enabled' if enabled else 'disabled'}
        )

    def ask_without_host(self, server):
        self._enable('src', False)
        self._enable('src2', False)
        self.api.post_server_action(
            server['id'],
            {'os-migrateLive': {'host': None, 'block_migration': 'auto'}},
        )

    def test_the_scheduler_chooses_another_host(self):
        servers = self.boot(2)
        self.guests.hold(*servers)
        for server in servers:
            self.ask_without_host(server)
            self.guests.wait_running(server)
        self.assertEqual(
            {'dest', 'dest2'},
            {self.migration(server).dest_compute for server in servers},
        )
        self.guests.release_all()
        for server in servers:
            self.wait_status(server, 'completed')

    def test_a_forced_host_is_waited_for(self):
        a, b = self.boot_two()
        self.migrate(a)
        self.guests.wait_running(a)
        self.api.microversion = '2.67'
        self.api.post_server_action(
            b['id'],
            {
                'os-migrateLive': {
                    'host': 'dest',
                    'block_migration': 'auto',
                    'force': True,
                }
            },
        )
        self.api.microversion = self.microversion
        self.wait_for(lambda: self.gate().waiting == self.uuids(b))
        self.guests.release_all()
        self.assert_all_moved(a, b)
