# SPDX-License-Identifier: Apache-2.0

"""A reload of the configuration reaches the gates."""

import fixtures
import testtools

from nova_throttle import activation
from nova_throttle.compute import limits
from nova_throttle import conf as throttle_conf


class LimitsTestCase(testtools.TestCase):
    def test_a_gate_whose_option_cannot_be_read(self):
        log = self.useFixture(fixtures.FakeLogger())

        def read(conf, name, group):
            if group is None:
                raise activation.InvalidOption(option=name, reason='not read')
            return 7

        self.patch(throttle_conf, 'read', read)
        resized = []

        class Throttle:
            resize = staticmethod(lambda *args: resized.append(args))

        limits.take_up(Throttle())
        self.assertEqual(
            [('destination', 7), ('transfer-out', 7), ('transfer-in', 7)],
            resized,
        )
        self.assertIn('gate source keeps its limit', log.output)
