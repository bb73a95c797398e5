# SPDX-License-Identifier: Apache-2.0

import datetime

import testtools

from nova_throttle import events
from nova_throttle import lifecycle

TRANSITION = events.Transition(
    migration_uuid='m',
    instance_uuid='i',
    destination='dest',
    before=lifecycle.State.QUEUED,
    after=lifecycle.State.PREPARING,
    at=datetime.datetime.now(datetime.timezone.utc),
)


class PortTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.port = events.Port()
        self.told = []

    def test_all_listeners_are_told_in_their_order(self):
        self.port.listen(lambda t: self.told.append((1, t)))
        self.port.listen(lambda t: self.told.append((2, t)))
        self.port.publish(TRANSITION)
        self.assertEqual([(1, TRANSITION), (2, TRANSITION)], self.told)

    def test_one_that_fails_disturbs_nobody(self):
        def fail(transition):
            raise RuntimeError('broken')

        self.port.listen(fail)
        self.port.listen(self.told.append)
        self.port.publish(TRANSITION)
        self.assertEqual([TRANSITION], self.told)
