# SPDX-License-Identifier: Apache-2.0

"""A Nova that is not what we know is refused, with a line that says why."""

import inspect

from nova.compute import manager as nova_manager
from nova.conf import compute as compute_conf
from nova import manager as manager_base
from nova import safe_utils
from nova import service
from nova.virt import libvirt
from nova.virt.libvirt import driver as nova_driver
import testtools

from nova_throttle import activation
from nova_throttle.compute import interface
from nova_throttle.compute import manager
from nova_throttle.compute import stubs
from nova_throttle import overrides
from nova_throttle.virt.libvirt import driver

NOVAS = nova_manager.ComputeManager


class InterfaceTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(overrides.uninstall)

    def remove(self, owner, name):
        self.addCleanup(setattr, owner, name, vars(owner)[name])
        delattr(owner, name)

    def assert_refused(self, error, *words):
        found = self.assertRaises(error, overrides.install)
        for word in words:
            self.assertIn(word, str(found))
        self.assertEqual(
            'nova.compute.manager.ComputeManager',
            service.SERVICE_MANAGERS['nova-compute'],
        )
        self.assertEqual(1, len(str(found).splitlines()))

    def test_this_nova_has_all(self):
        self.assertEqual([], [str(found) for found in interface.problems()])

    def test_a_method_is_missing(self):
        self.remove(NOVAS, '_revert_allocation')
        self.assert_refused(
            activation.MissingName,
            'nova.compute.manager:ComputeManager._revert_allocation',
        )

    def test_a_method_that_we_override_has_another_argument(self):
        def live_migration(self, context, dest, instance, why=None):
            pass

        self.patch(NOVAS, 'live_migration', live_migration)
        self.assert_refused(
            activation.ChangedSignature,
            'nova.compute.manager:ComputeManager.live_migration',
            'takes (self, context, dest, instance, why=)',
            '(self, context, dest, instance, block_migration, migration, '
            'migrate_data)',
        )

    def test_even_if_nova_need_not_give_it(self):
        def reset(self, deep=False):
            pass

        self.patch(NOVAS, 'reset', reset)
        self.assert_refused(activation.ChangedSignature, 'reset', 'deep=')

    def test_a_method_that_we_call_may_have_more_if_we_need_not_give_it(self):
        def revert(self, context, instance, migration, force=False):
            pass

        self.patch(NOVAS, '_revert_allocation', revert)
        self.assertEqual([], list(interface.problems()))

    def test_a_method_that_we_call_wants_more(self):
        def revert(self, context, instance, migration, force):
            pass

        self.patch(NOVAS, '_revert_allocation', revert)
        self.assert_refused(activation.ChangedSignature, 'force')

    def test_a_method_whose_arguments_can_not_be_known(self):
        self.patch(NOVAS, '_revert_allocation', lambda *args, **kwargs: 0)
        self.assertEqual([], list(interface.problems()))

    def test_an_optional_one_is_missing(self):
        if hasattr(nova_manager.ComputeManager, '_record_task_end'):
            self.remove(manager_base.Manager, '_record_task_end')
        self.assertEqual([], list(interface.problems()))

    def test_an_optional_one_that_is_there_is_looked_at(self):
        self.patch(NOVAS, '_record_task_end', lambda self, name: None)
        self.assert_refused(activation.ChangedSignature, '_record_task_end')

    def test_a_method_of_the_driver(self):
        self.remove(nova_driver.LibvirtDriver, '_live_migration_monitor')
        self.assert_refused(activation.MissingName, '_live_migration_monitor')

    def test_a_function_of_a_module(self):
        self.remove(safe_utils, 'get_wrapped_function')
        self.assert_refused(activation.MissingName, 'get_wrapped_function')

    def test_an_attribute_of_the_manager(self):
        self.patch(NOVAS, '__init__', lambda self: None)
        self.assert_refused(
            activation.MissingName, 'ComputeManager()._waiting_live_migrations'
        )

    def test_the_table_of_managers(self):
        self.patch(service, 'SERVICE_MANAGERS', {})
        found = self.assertRaises(activation.MissingName, overrides.install)
        self.assertIn('nova-compute', str(found))

    def test_no_table_of_managers(self):
        self.remove(service, 'SERVICE_MANAGERS')
        found = self.assertRaises(activation.MissingName, overrides.install)
        self.assertIn('nova.service:SERVICE_MANAGERS', str(found))

    def test_the_driver_class(self):
        self.remove(libvirt, 'LibvirtDriver')
        self.assert_refused(activation.MissingName, 'LibvirtDriver')

    def test_the_option(self):
        self.patch(compute_conf, 'list_opts', lambda: {'DEFAULT': []})
        self.assert_refused(
            activation.MissingName, '[DEFAULT] max_concurrent_live_migrations'
        )


class CompletenessTestCase(testtools.TestCase):
    """What we override has a stub."""

    def assert_known(self, path, ours):
        novas = interface.resolve(path)
        known = dict(interface.methods(stubs.OVERRIDDEN[path]))
        unknown = {
            name
            for name, value in vars(ours).items()
            if inspect.isfunction(value)
            and hasattr(novas, name)
            and name != '__init__'  # hands on whatever comes
        } - set(known)
        self.assertEqual(set(), unknown)

    def test_manager(self):
        self.assert_known(
            'nova.compute.manager:ComputeManager',
            manager.ThrottledComputeManager,
        )

    def test_driver(self):
        self.assert_known(
            'nova.virt.libvirt.driver:LibvirtDriver',
            driver.ThrottledLibvirtDriver,
        )
