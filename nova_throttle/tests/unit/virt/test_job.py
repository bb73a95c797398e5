# SPDX-License-Identifier: Apache-2.0

"""For how long a guest has paused, by what libvirt keeps of its job."""

import types

from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver as nova_driver
import testtools

from nova_throttle.compute.destination import downtime
from nova_throttle.virt.libvirt import job

COMPLETED = {'type': fakelibvirt.VIR_DOMAIN_JOB_COMPLETED}


class DowntimeTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.patch(nova_driver, 'libvirt', fakelibvirt)
        for name, value in (('COMPLETED', 1), ('KEEP_COMPLETED', 2)):
            self.patch(fakelibvirt, f'VIR_DOMAIN_JOB_STATS_{name}', value)
        self.stats = COMPLETED
        self.noted = []

    def get_guest(self, instance):
        return types.SimpleNamespace(_domain=self)

    def jobStats(self, flags):
        # Kept for whoever else asks.
        self.assertEqual(3, flags)
        return self.stats

    def downtime_of(self, instance):
        return job.downtime(self, instance)

    def observe(self, **stats):
        self.stats = {**COMPLETED, **stats}
        downtime.observe(self, {'uuid': 'i'}, self.noted.append)

    def test_it_is_in_seconds(self):
        self.observe(downtime=250)
        self.assertEqual([0.25], self.noted)

    def test_the_clocks_of_the_hosts_may_differ(self):
        self.observe(downtime=3600250, downtime_net=250)
        self.assertEqual([0.25], self.noted)

    def test_it_is_not_known(self):
        """As after post-copy, or when libvirt was restarted."""
        self.observe()
        self.observe(downtime=1, type=fakelibvirt.VIR_DOMAIN_JOB_NONE)
        self.assertEqual([], self.noted)

    def test_no_fault_reaches_nova(self):
        self.get_guest = None
        self.observe(downtime=250)
        self.assertEqual([], self.noted)

    def test_another_driver_is_not_asked(self):
        downtime.observe(object(), {'uuid': 'i'}, self.noted.append)
        self.assertEqual([], self.noted)
