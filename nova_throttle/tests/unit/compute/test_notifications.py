# SPDX-License-Identifier: Apache-2.0

from oslo_versionedobjects import fixture as ovo_fixture
import testtools

from nova_throttle.compute import notifications


class PayloadTestCase(testtools.TestCase):
    def test_hash(self):
        kind = notifications.LiveMigrationPayload
        checker = ovo_fixture.ObjectVersionChecker({kind.obj_name(): [kind]})
        self.assertEqual(
            {'LiveMigrationPayload': '1.0-29c89b7263052c4e21f54d2eeb8a8733'},
            checker.get_hashes(),
        )
