# SPDX-License-Identifier: Apache-2.0

"""A secret that travels in migrate_data is on no disk and never lost.

Since 34, Nova sends the secret of a vTPM to the destination, where the
flavor says hw:tpm_secret_security=host.
"""

import pathlib

from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver as libvirt_driver

from nova_throttle.tests.functional import test_recovery


class VTPMTestCase(test_recovery.RestartTestCase):
    """``a`` runs, and ``b``, which has a vTPM, is queued behind it."""

    def setUp(self):
        driver = libvirt_driver.LibvirtDriver
        if not hasattr(driver, '_add_vtpm_secret_to_live_migrate_data'):
            self.skipTest('this Nova does not migrate a vTPM')
        self.flags(
            swtpm_enabled=True,
            supported_tpm_secret_security=['host'],
            group='libvirt',
        )
        self.flags(
            backend='nova.tests.functional.libvirt.test_vtpm.FakeKeyManager',
            group='key_manager',
        )
        connection = fakelibvirt.virConnect
        self.stub_out(
            'nova.tests.fixtures.libvirt.virConnect._domain_capability_tpm',
            connection._domain_capability_tpm_supported,
        )
        self.stub_out(
            'nova.virt.libvirt.driver.LibvirtDriver._check_vtpm_support',
            lambda driver: None,
        )
        super().setUp()
        (self.a,) = self.boot(1)
        self.b = self._create_server(
            flavor_id=self._create_flavor(
                extra_spec={
                    'hw:tpm_model': 'tpm-tis',
                    'hw:tpm_version': '1.2',
                    'hw:tpm_secret_security': 'host',
                }
            ),
            host='src',
            networks='none',
        )
        self.secret = self.secret_at('src')
        self.guests.hold(self.a, self.b)
        self.migrate(self.a)
        self.guests.wait_running(self.a)

    def secret_at(self, host):
        """Return the secret of b that libvirt has on a host."""
        found = self.computes[host].driver._host.find_secret(
            'vtpm', self.b['id']
        )
        return None if found is None else found.value()

    def assert_secret_moved(self):
        self.guests.wait_running(self.b)
        self.assertEqual(self.secret, self.secret_at('dest'))
        self.assertEqual(self.secret, self.secret_at('src'))
        self.guests.release(self.b)
        self.assert_moved(self.b)
        self.assertEqual(self.secret, self.secret_at('dest'))
        self.wait_for(lambda: self.secret_at('src') is None)

    def test_it_is_not_on_disk(self):
        self.migrate(self.b)
        journal = self.src.manager._parts.journal
        directory = pathlib.Path(journal._files.directory)
        content = b''.join(p.read_bytes() for p in directory.iterdir())
        self.assertIn(b'vtpm_secret_value', content)
        self.assertNotIn(self.secret, content)

    def test_the_destination_gets_it_after_a_restart(self):
        self.migrate(self.b)
        self.kill_and_start()
        self.assert_secret_moved()

    def test_the_destination_gets_it_after_two_restarts(self):
        (c,) = self.boot(1)
        self.guests.hold(c)
        self.migrate(c, self.b)
        self.kill_and_start()
        self.guests.wait_running(c)
        self.assertEqual('queued', self.status(self.b))
        self.kill_and_start()
        self.assert_secret_moved()

    def test_a_restart_after_the_destination_prepared(self):
        self.migrate(self.b)
        self.guests.release(self.a)
        self.guests.wait_running(self.b)
        self.kill_and_start()
        self.assert_left(self.b, 'error')
        self.wait_for(lambda: self.secret_at('dest') is None)
        self.assertEqual(self.secret, self.secret_at('src'))

    def test_it_is_lost(self):
        self.migrate(self.b)
        self.kill()
        self.src.driver._host.delete_secret('vtpm', self.b['id'])
        self.start_again()
        self.assert_left(self.b, 'error')
        self.assertNotIn(self.b['id'], self.guests.started)
        self.assert_fault(self.b, 'vtpm_secret_value')
