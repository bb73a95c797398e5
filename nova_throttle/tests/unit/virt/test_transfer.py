# SPDX-License-Identifier: Apache-2.0

"""Speed and progress of a guest, by what is asked of libvirt's domain."""

import types

from nova import objects
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver as nova_driver
from nova.virt.libvirt import guest as nova_guest
from oslo_config import cfg
import testtools

from nova_throttle.transfer import pace as pace_lib
from nova_throttle.virt.libvirt import transfer

MIB = 1024 * 1024


class Domain:
    """What libvirt shows of a guest that migrates."""

    def __init__(self):
        self.stats = {'type': fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED}
        self.params = None
        self.speeds = []
        self.fails = False

    def jobStats(self):
        return self.stats

    def migrateToURI3(self, uri, params, flags):
        self.params = params

    def migrateSetMaxSpeed(self, speed):
        if self.fails:
            raise RuntimeError('no libvirt')
        self.speeds.append(speed)

    def migrateStartPostCopy(self):
        self.post_copy = True

    def send(self, processed, remaining):
        self.stats = {
            'type': fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED,
            'memory_processed': processed * MIB,
            'memory_remaining': remaining * MIB,
            'memory_iteration': 1,
        }


class TransferTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        for module in (nova_driver, nova_guest):
            self.patch(module, 'libvirt', fakelibvirt)
        self.now = 0.0
        self.pace = pace_lib.Pace(lambda: self.now)
        self.seen = []
        self.domain = Domain()
        self.guest = transfer.WatchedGuest(
            nova_guest.Guest(self.domain),
            transfer.Transfer('instance', self.pace, self.seen.append),
        )

    def migrate(self, **kwargs):
        self.guest.migrate('dest', bandwidth=100, **kwargs)
        return self.domain.params['bandwidth']

    def test_it_begins_at_the_speed_that_is_configured(self):
        self.assertEqual(100, self.migrate())

    def test_it_begins_slow(self):
        self.pace.slow()
        self.assertEqual(1, self.migrate())
        self.pace.full()
        self.assertEqual([100], self.domain.speeds)

    def test_disks_are_never_copied_slowly(self):
        self.pace.slow()
        self.assertEqual(100, self.migrate(migrate_disks=['vda']))
        self.assertFalse(self.pace.slow())

    def test_parallel_connections_are_never_slow(self):
        """With several, QEMU sends much more than 1 MiB/s all the same."""
        self.pace.slow()
        # Releases differ in whether they know it.
        self.patch(nova_guest.Guest, 'migrate', self.note_bandwidth)
        self.guest.migrate('dest', bandwidth=100, parallel=4)
        self.assertEqual([100], self.domain.speeds)
        self.assertFalse(self.pace.slow())

    def note_bandwidth(self, *args, **kwargs):
        self.domain.speeds.append(args[-1])

    def test_who_may_be_slow(self):
        for state, block, connections, expected in (
            ('active', False, None, True),
            ('active', False, 1, True),
            ('active', False, 2, False),
            ('active', True, None, False),
            ('paused', False, None, False),
        ):
            self.configure(
                cfg.IntOpt(
                    'live_migration_parallel_connections', default=connections
                )
            )
            instance = types.SimpleNamespace(vm_state=state)
            data = objects.LibvirtLiveMigrateData(block_migration=block)
            self.assertIs(expected, transfer.may_be_slow(instance, data))
        data = objects.LibvirtLiveMigrateData()
        self.assertFalse(transfer.may_be_slow(instance, data))

    def configure(self, *options):
        """Have these options in the group of libvirt, and no other."""
        conf = cfg.ConfigOpts()
        conf.register_opts([cfg.BoolOpt('any'), *options], 'libvirt')
        conf([], default_config_files=[], default_config_dirs=[])
        self.patch(transfer, 'CONF', conf)

    def test_a_release_without_parallel_connections(self):
        """There, each live migration failed where the number is found out."""
        self.configure()
        instance = types.SimpleNamespace(vm_state='active')
        self.assertTrue(transfer.may_be_slow(instance, None))

    def test_the_monitor_of_nova_sees_to_the_speed(self):
        self.pace.slow()
        self.migrate()
        self.domain.send(1, 100)
        self.guest.get_job_info()
        self.assertEqual([], self.domain.speeds)
        self.now += pace_lib.LEASE
        info = self.guest.get_job_info()
        self.assertEqual([100], self.domain.speeds)
        self.assertEqual(1 * MIB, info.memory_processed)

    def test_in_post_copy_it_is_at_full_speed(self):
        self.pace.slow()
        self.migrate()
        self.domain.send(1, 100)
        self.guest.get_job_info()
        self.guest.migrate_start_postcopy()
        self.assertTrue(self.domain.post_copy)
        self.assertEqual([100], self.domain.speeds)
        self.guest.get_job_info()
        self.assertTrue(self.seen[-1].post_copy)

    def test_a_low_speed_does_not_stay_for_the_next_migration(self):
        """It did, before libvirt 8, of one that failed while it was slow."""
        self.migrate()
        self.domain.send(1, 100)
        self.guest.get_job_info()
        self.pace.slow()
        self.guest._transfer.end()
        self.assertEqual([1, 100], self.domain.speeds)

    def test_no_speed_is_set_at_the_end_otherwise(self):
        self.pace.slow()
        self.migrate()
        self.guest._transfer.end()
        self.assertEqual([], self.domain.speeds)

    def test_progress_is_told(self):
        self.migrate(flags=fakelibvirt.VIR_MIGRATE_AUTO_CONVERGE)
        self.domain.send(5, 100)
        self.guest.get_job_info()
        (seen,) = self.seen
        self.assertEqual((5 * MIB, 100 * MIB), (seen.done, seen.remaining))
        self.assertTrue(seen.auto_converge)

    def test_a_job_that_does_not_go_on_is_not_looked_at(self):
        self.migrate()
        for kind in (
            fakelibvirt.VIR_DOMAIN_JOB_NONE,
            fakelibvirt.VIR_DOMAIN_JOB_COMPLETED,
        ):
            self.domain.stats = {'type': kind}
            self.guest.get_job_info()
        self.assertEqual([], self.seen)

    def test_no_fault_of_ours_reaches_nova(self):
        self.pace.slow()
        self.migrate()
        self.domain.send(1, 100)
        self.domain.fails = True
        self.pace.full()

        def fail(progress):
            raise RuntimeError('nobody listens')

        self.guest._transfer._note = fail
        self.guest.get_job_info()
        self.domain.fails = False
        self.guest.get_job_info()
        self.assertEqual([100], self.domain.speeds)
