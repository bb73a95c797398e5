# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""What two hosts tell each other crosses the wire as it is in the core."""

from oslo_serialization import jsonutils
from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle.admission import wire
from nova_throttle.objects import agreement
from nova_throttle.objects import base

ASK = wire.Ask(
    source='src',
    incarnation=3,
    serial=7,
    knows=2,
    items=tuple(
        wire.Item(getattr(uuids, standing), uuids.instance, standing, -1, 5)
        for standing in wire.Standing
    ),
    complete=True,
)

TELL = wire.Tell(
    destination='dest',
    incarnation=2,
    serial=9,
    answers=3,
    offers=(wire.Offer(uuids.a, 7), wire.Offer(uuids.b, 6, keep=True)),
    limit=2,
    owners=(uuids.a, uuids.b),
    places=((uuids.c, 1), (uuids.d, 3)),
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
        self.assert_crosses(agreement.Ask, wire.Ask('src', 1, 1, 0, ()))
        self.assert_crosses(agreement.Tell, wire.Tell('dest', 1, 1, 0))

    def test_what_makes_no_sense_is_refused(self):
        primitive = base.to_primitive(agreement.Ask.from_core(ASK))
        item = primitive['nova_throttle_object.data']['items'][0]
        item['nova_throttle_object.data']['standing'] = 'sits'
        self.assertRaises(
            ValueError, agreement.Ask.obj_from_primitive, primitive
        )
