# SPDX-License-Identifier: Apache-2.0
"""What two hosts tell each other crosses the wire as it is in the core."""

from oslo_serialization import jsonutils
from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle.agreement import messages
from nova_throttle.objects import agreement
from nova_throttle.objects import base

ASK = messages.Ask(
    source='src',
    incarnation=3,
    serial=7,
    knows=2,
    items=tuple(
        messages.Item(
            getattr(uuids, standing), uuids.instance, 'link', standing, -1, 5
        )
        for standing in messages.Standing
    ),
    complete=True,
)

TELL = messages.Tell(
    destination='dest',
    incarnation=2,
    serial=9,
    answers=3,
    heard=5,
    offers=(messages.Offer(uuids.a, 'link', 7),),
    gates=(
        messages.Gate(
            'link', 2, (uuids.a, uuids.b), ((uuids.c, 1), (uuids.d, 3))
        ),
        messages.Gate('rack'),
    ),
    standstill='service starts',
)


class AgreementTestCase(testtools.TestCase):
    def assert_crosses(self, kind, value):
        text = jsonutils.dumps(base.to_primitive(kind.from_core(value)))
        found = kind.obj_from_primitive(jsonutils.loads(text))
        self.assertEqual(value, found.to_core())

    def test_ask(self):
        self.assert_crosses(agreement.Ask, ASK)

    def test_tell(self):
        self.assert_crosses(agreement.Tell, TELL)

    def test_nothing_to_say(self):
        self.assert_crosses(agreement.Ask, messages.Ask('src', 1, 1, 0, ()))
        self.assert_crosses(agreement.Tell, messages.Tell('dest', 1, 1, 0))

    def test_what_makes_no_sense_is_refused(self):
        primitive = base.to_primitive(agreement.Ask.from_core(ASK))
        item = primitive['nova_throttle_object.data']['items'][0]
        item['nova_throttle_object.data']['standing'] = 'sits'
        self.assertRaises(
            ValueError, agreement.Ask.obj_from_primitive, primitive
        )
