# SPDX-License-Identifier: Apache-2.0

import testtools

from nova_throttle.conf import types


class AddressTestCase(testtools.TestCase):
    def test_addresses(self):
        for text, host, port in (
            ('127.0.0.1:9979', '127.0.0.1', 9979),
            ('cpu1.example.com:80', 'cpu1.example.com', 80),
            ('[::]:9979', '::', 9979),
            ('[fd00::1]:0', 'fd00::1', 0),
        ):
            self.assertEqual((host, port), types.AddressType()(text))

    def test_no_addresses(self):
        for text in (
            *('', '9979', ':9979', 'cpu1', 'cpu1:', 'cpu1:http'),
            *('cpu1:70000', 'cpu1:-1', '::1:9979', '[]:9979', 'yes'),
        ):
            self.assertRaises(ValueError, types.AddressType(), text)
