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

"""The endpoint does what an administrator says, and nothing else.

That it is found on a real Nova's message bus is shown by the functional
tests.
"""

import types

import fixtures
from nova import context
import oslo_messaging as messaging
import testtools

from nova_throttle.admission import controller
from nova_throttle import exception
from nova_throttle import rpcapi

ADMIN = context.get_admin_context()


class EndpointTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger('nova_throttle'))
        self.throttle = controller.Controller({'source': 1}, start=id)
        self.endpoint = rpcapi.ThrottleEndpoint(
            types.SimpleNamespace(host='src', throttle=self.throttle)
        )

    def limit(self):
        return self.throttle.snapshot().gates['source'].limit

    def assert_refused(self, expected, method, *args):
        refused = self.assertRaises(messaging.ExpectedException, method, *args)
        error = refused.exc_info[1]
        self.assertIs(expected, type(error))
        # One line, which says why.
        (line,) = self.log.output.splitlines()
        self.assertIn(f'{method.__name__} was refused: {error}', line)
        self.assertEqual(1, self.limit())
        return error

    def test_set_limit(self):
        answer = self.endpoint.set_limit(ADMIN, 'source', 3)
        self.assertEqual(3, self.limit())
        (gate,) = answer['nova_throttle_object.data']['gates']
        self.assertEqual(3, gate['nova_throttle_object.data']['limit'])
        self.assertEqual(
            'the limit of gate source was changed from 1 to 3\n',
            self.log.output,
        )

    def test_a_limit_is_a_number_of_slots(self):
        for limit in (-1, '3', 1.5, None, True, [3]):
            self.log.reset_output()
            error = self.assert_refused(
                exception.InvalidLimit,
                self.endpoint.set_limit,
                ADMIN,
                'source',
                limit,
            )
            self.assertEqual(limit, error.limit)

    def test_unknown_gate(self):
        for gate in ('nowhere', None, 3):
            self.log.reset_output()
            self.assert_refused(
                exception.UnknownGate, self.endpoint.set_limit, ADMIN, gate, 3
            )

    def test_for_administrators_only(self):
        user = context.RequestContext('user', 'project', is_admin=False)
        for method, args in (
            (self.endpoint.get_snapshot, ()),
            (self.endpoint.set_limit, ('source', 3)),
        ):
            self.log.reset_output()
            self.assert_refused(exception.AdminRequired, method, user, *args)
