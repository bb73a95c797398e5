# SPDX-License-Identifier: Apache-2.0

"""What our driver does for whoever does not call its live_migration()."""

from nova.virt.libvirt import driver as nova_driver
import testtools

from nova_throttle.virt.libvirt import driver


class InnerMethodsTestCase(testtools.TestCase):
    """Nova's own unit tests call them so, with a dictionary."""

    def setUp(self):
        super().setUp()
        self.driver = object.__new__(driver.ThrottledLibvirtDriver)
        self.driver._operations = {}
        self.driver._observers = {}
        self.calls = []

    def replace(self, name):
        def method(_, *args):
            self.calls.append(args)

        self.patch(nova_driver.LibvirtDriver, name, method)

    def test_the_operation_is_called_where_it_is_asked_for(self):
        self.replace('_live_migration_operation')
        instance = {'uuid': 'an instance'}
        args = ('context', instance, *range(5))
        self.driver._live_migration_operation(*args)
        self.assertEqual([args], self.calls)

    def test_the_monitor_watches_what_it_is_given(self):
        self.replace('_live_migration_monitor')
        instance = {'uuid': 'an instance'}
        args = ('context', instance, *range(6), 'the end', 'paths')
        self.driver._live_migration_monitor(*args)
        self.assertEqual([args], self.calls)
