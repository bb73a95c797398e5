# SPDX-License-Identifier: Apache-2.0

"""Nothing of a guest is deleted that was not seen on its destination.

All disks are local: what Nova cleans up at the source, after a migration that
has arrived, is the only copy.
"""

import fixtures
from nova import exception as nova_exception

from nova_throttle.compute.source import arrival
from nova_throttle import overrides
from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_recovery


class LocalDisksTestCase(test_recovery.RestartTestCase):
    """Servers whose disks are deleted when Nova cleans up after them."""

    def setUp(self):
        super().setUp()
        self.share_no_storage()
        # Hosts that deleted something of a server, and of which.
        self.deleted = []
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.virt.libvirt.driver.LibvirtDriver.cleanup', self.cleanup
            )
        )

    def cleanup(self, driver, context, instance, *args, **kwargs):
        self.deleted.append((driver._host.get_hostname(), instance.uuid))

    def connect(self, host):
        return self.computes[host].driver._host.get_connection()

    def domain(self, server, host='src'):
        return self.connect(host).lookupByUUIDString(server['id'])

    def switch_off(self, server):
        """Have the guest of a server go off: its domain stays defined."""
        self.domain(server).destroy()

    def run_one(self, host='dest'):
        """Have a migration that is on the wire."""
        server = self.boot_with_port()
        self.guests.hold(server)
        self.migrate(server, host=host)
        self.guests.wait_running(server)
        self.wait_status(server, 'running')
        return server

    def assert_stays(self, server, *statuses):
        """Check that a server is as it was, and its disks are there."""
        self.wait_status(server, *statuses)
        self.assert_left(server, self.status(server))
        self.assertNotIn(('src', server['id']), self.deleted)
        self.assertEqual('Error', self._event(server))


class OffAtItsTurnTestCase(LocalDisksTestCase):
    def test_a_guest_that_goes_off_while_it_is_queued_leaves(self):
        """Plain Nova takes it for one that has arrived."""
        a, b = self.boot_with_port(), self.boot_with_port()
        self.guests.hold(a)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.switch_off(b)
        self.guests.release(a)
        self.assert_stays(b, 'error')
        self.assert_fault(b, 'the guest is off')
        self.assertNotIn(b['id'], self.guests.started)
        self.wait_status(a, 'completed')

    def test_a_guest_that_is_off_when_it_is_asked_for_leaves(self):
        a = self.boot_with_port()
        self.switch_off(a)
        self.ask_for_migration(a)
        self.assert_stays(a, 'error')
        self.assert_fault(a, 'the guest is off')

    def test_a_guest_that_is_gone_leaves(self):
        a = self.boot_with_port()
        self.domain(a).destroy()
        self.domain(a).undefine()
        self.ask_for_migration(a)
        self.assert_stays(a, 'error')
        self.assert_fault(a, 'the guest is absent')

    def test_a_guest_that_goes_off_while_it_prepares_leaves(self):
        a = self.boot_with_port()
        dest = self.computes['dest'].manager
        paused = self.useFixture(
            pause.Paused(dest, base.preparation(dest), base.PATIENCE)
        )
        self.migrate(a)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        self.switch_off(a)
        paused.proceed.set()
        self.assert_stays(a, 'error')
        self.assert_fault(a, 'the guest is off')
        self.assertEqual([], self.guests.started)

    def test_a_paused_guest_is_migrated(self):
        a = self.boot_with_port()
        self.domain(a).suspend()
        self.ask_for_migration(a)
        self.wait_status(a, 'completed')
        self.assertIn(a['id'], self.guests.started)

    def test_a_guest_that_goes_off_in_the_call_is_rolled_back(self):
        """libvirt's call fails, and the domain is off as if it had left."""
        a = self.run_one()
        self.switch_off(a)
        self.guests.fail(a)
        self.assert_stays(a, 'failed', 'error')
        self.assert_fault(a, 'has not arrived')

    def test_one_that_is_refused_and_gone_is_rolled_back(self):
        a = self.run_one()
        domain = self.domain(a)
        domain.destroy()
        domain.undefine()
        self.guests.fail(a)
        self.assert_stays(a, 'failed', 'error')

    def test_a_call_that_failed_after_the_guest_arrived(self):
        """As when the connection of the two libvirts breaks at the end."""
        a = self.run_one()
        domain = self.domain(a)
        xml = domain.XMLDesc(0)
        self.connect('dest').createXML(xml, 0)
        domain.destroy()
        self.guests.fail(a)
        self.assert_moved(a)

    def test_nothing_is_done_before_the_destination_says_something(self):
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.source.arrival.AGAIN_FIRST', 0.1
            )
        )
        asked = []

        def fail(*args, **kwargs):
            asked.append(args)
            raise arrival.exception.HostSilent(host='dest', timeout=30)

        see = arrival.rpcapi.HostAPI.see
        arrival.rpcapi.HostAPI.see = fail
        self.addCleanup(setattr, arrival.rpcapi.HostAPI, 'see', see)
        a = self.run_one()
        self.switch_off(a)
        self.guests.fail(a)
        self.wait_for(lambda: len(asked) > 2)
        self.assertEqual('running', self.status(a))
        self.assertEqual((self.migration(a).uuid,), self.owners())
        arrival.rpcapi.HostAPI.see = see
        self.assert_stays(a, 'failed', 'error')


class PowerLossTestCase(LocalDisksTestCase):
    """The source is gone for a while, and its guests are off after that."""

    options = {'housekeeping_interval': 1}

    def lose_power(self, server):
        self.kill()
        self._domain(server).destroy()
        # The guest that comes ends with its source.
        self.guests.fail(server)
        self.wait_for(lambda: server['id'] not in self.guests.running)

    def _domain(self, server):
        return self._connection.lookupByUUIDString(server['id'])

    def test_defined_and_off_is_no_arrival(self):
        a = self.run_one()
        self.lose_power(a)
        self.start_again()
        self.assert_stays(a, 'error')

    def test_gone_is_no_arrival(self):
        a = self.run_one()
        self.lose_power(a)
        self._domain(a).undefine()
        self.start_again()
        self.assert_stays(a, 'error')

    def test_a_job_that_looks_complete_is_no_arrival(self):
        a = self.run_one()
        self.lose_power(a)
        self._domain(a).complete_job()
        self.start_again()
        self.assert_stays(a, 'error')

    def test_what_is_queued_leaves_when_its_turn_comes(self):
        a, b = self.run_one(), self.boot_with_port()
        self.migrate(b)
        self.lose_power(a)
        self._domain(b).destroy()
        self.start_again()
        self.assert_stays(a, 'error')
        self.assert_stays(b, 'error')

    def test_it_is_not_decided_while_the_destination_is_away(self):
        a = self.run_one()
        self.lose_power(a)
        self.computes['dest'].stop()
        self.flags(rpc_response_timeout=1)
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.rpcapi.PEER_TIMEOUT', 1)
        )
        self.start_again()
        self.wait_for(
            lambda: 'it is not known where' in self.stdlog.logger.output
        )
        self.assertEqual('running', self.status(a))
        self.assertEqual(
            'migrating', self.api.get_server(a['id'])['OS-EXT-STS:task_state']
        )
        self.restart_compute_service('dest')
        self.assert_stays(a, 'error')

    def test_one_that_arrived_is_finished(self):
        a = self.run_one()
        self.kill()
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        domain = self._domain(a)
        domain.destroy()
        domain.undefine()
        self.start_again()
        self.assert_moved(a)
        self.assertIn(('src', a['id']), self.deleted)

    def test_one_that_arrived_paused_is_finished(self):
        a = self.run_one()
        self.kill()
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self._domain(a).destroy()
        self.domain(a, 'dest').suspend()
        self.start_again()
        self.wait_status(a, 'completed')
        self.assertIn(('src', a['id']), self.deleted)

    def test_one_that_is_off_on_both_hosts_waits(self):
        """Its newest disks may be on either."""
        a = self.run_one()
        self.kill()
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self._domain(a).destroy()
        domain = self.domain(a, 'dest')
        domain.destroy()
        self.connect('dest').defineXML(domain.XMLDesc(0))
        self.start_again()
        self.wait_for(
            lambda: 'it is not known where' in self.stdlog.logger.output
        )
        self.assertEqual([], self.deleted)
        self.domain(a, 'dest').create()
        self.assert_moved(a)


class WithoutUsTestCase(LocalDisksTestCase):
    """The destination is a plain Nova."""

    options = {'housekeeping_interval': 1}

    def setUp(self):
        super().setUp()
        overrides.uninstall()
        self.start_compute(hostname='plain')
        overrides.install()

    def _end_migrations(self):
        self.guests.release_all()
        plain = self.computes.pop('plain')
        super()._end_migrations()
        self.computes['plain'] = plain

    def run_and_kill(self):
        a = self.run_one('plain')
        self.kill()
        domain = self._connection.lookupByUUIDString(a['id'])
        domain.destroy()
        return a

    def test_what_is_off_has_not_arrived(self):
        a = self.run_and_kill()
        self.guests.fail(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self.start_again()
        self.assert_stays(a, 'error')

    def test_what_runs_there_has_arrived(self):
        a = self.run_and_kill()
        self.guests.release(a)
        self.wait_for(lambda: a['id'] not in self.guests.running)
        self.start_again()
        self.wait_status(a, 'completed')
        self.assert_on(a, 'plain')
        self.assertIn(('src', a['id']), self.deleted)


class OtherDriverTestCase(base.ThrottleTestCase):
    """A driver that cannot show a guest which has just arrived."""

    def setUp(self):
        super().setUp()
        for compute in self.computes.values():
            compute.driver.see_guest = None

        def get_info(instance, **kwargs):
            raise nova_exception.InstanceNotFound(instance_id=instance.uuid)

        self.useFixture(
            fixtures.MockPatchObject(
                self.computes['dest'].driver, 'get_info', get_info
            )
        )

    def test_it_is_believed(self):
        """As Nova's fake one is by Nova's own tests."""
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.assert_on(a, 'dest')
