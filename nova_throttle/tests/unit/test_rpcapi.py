# SPDX-License-Identifier: Apache-2.0

"""The endpoint does what an administrator says, and nothing else.

That it is found on a real Nova's message bus is shown by the functional
tests.
"""

import dataclasses
import types

import fixtures
from nova import context
import oslo_messaging as messaging
from oslo_serialization import jsonutils
from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle.admission import controller
from nova_throttle.agreement import messages
from nova_throttle import endpoint
from nova_throttle import exception
from nova_throttle.objects import agreement
from nova_throttle.objects import base as objects_base

ADMIN = context.get_admin_context()


def plain(kind, value):
    """Return what crosses the bus."""
    primitive = objects_base.to_primitive(kind.from_core(value))
    return jsonutils.loads(jsonutils.dumps(primitive))


def read(kind, primitive):
    return kind.obj_from_primitive(primitive).to_core()


READY = messages.Item(
    uuids.migration,
    uuids.instance,
    'destination',
    messages.Standing.READY,
    priority=1,
)


class Negotiation:
    """Remembers what it is told, and always says the same."""

    ask = messages.Ask('src', 3, 7, 2, (READY,), complete=True)
    tell = messages.Tell(
        'dest',
        2,
        9,
        3,
        offers=(messages.Offer(uuids.migration, 'destination', 7),),
    )

    def __init__(self):
        self.told = []

    def hear(self, ask):
        self.told.append(ask)
        return self.tell if ask.wants_answer else None

    def receive(self, tell):
        self.told.append(tell)

    def report(self, destination, incarnation):
        self.told.append((destination, incarnation))
        return self.ask


class EndpointTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger('nova_throttle'))
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.refusal.INTERVAL', 0)
        )
        self.negotiation = Negotiation()
        self.throttle = controller.Controller(
            {'in progress': {'source': 1}}, start=id
        )
        self.endpoint = endpoint.ThrottleEndpoint(
            types.SimpleNamespace(host='src', throttle=self.throttle),
            self.negotiation,
            self.see,
        )

    def see(self, context, instance_uuid):
        if instance_uuid != uuids.instance:
            raise exception.HypervisorAway(host='src', error='libvirt')
        return 'runs'

    def test_see(self):
        self.assertEqual('runs', self.endpoint.see(ADMIN, uuids.instance))

    def test_see_while_the_hypervisor_is_away(self):
        self.assert_refused(
            exception.HypervisorAway, self.endpoint.see, ADMIN, uuids.other
        )

    def test_see_is_for_administrators(self):
        self.assert_refused(
            exception.AdminRequired,
            self.endpoint.see,
            context.RequestContext('me', is_admin=False),
            uuids.instance,
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
            'the limit of gate source was changed from 1 to 3 (request '
            f'{ADMIN.request_id}, user unknown)\n',
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
            (self.endpoint.ask, (plain(agreement.Ask, Negotiation.ask),)),
            (self.endpoint.tell, (plain(agreement.Tell, Negotiation.tell),)),
            (self.endpoint.report, ('dest', 2)),
        ):
            self.log.reset_output()
            self.assert_refused(exception.AdminRequired, method, user, *args)
        self.assertEqual([], self.negotiation.told)

    def test_a_call_is_answered(self):
        answer = self.endpoint.ask(
            ADMIN, plain(agreement.Ask, Negotiation.ask)
        )
        self.assertEqual([Negotiation.ask], self.negotiation.told)
        self.assertEqual(Negotiation.tell, read(agreement.Tell, answer))

    def test_a_cast_is_not_answered(self):
        gone = dataclasses.replace(READY, standing=messages.Standing.GONE)
        ask = dataclasses.replace(
            Negotiation.ask, items=(gone,), complete=False
        )
        answer = self.endpoint.ask(ADMIN, plain(agreement.Ask, ask))
        self.assertIsNone(answer)
        self.assertEqual([ask], self.negotiation.told)

    def test_tell(self):
        tell = plain(agreement.Tell, Negotiation.tell)
        self.assertIsNone(self.endpoint.tell(ADMIN, tell))
        self.assertEqual([Negotiation.tell], self.negotiation.told)

    def test_report(self):
        answer = self.endpoint.report(ADMIN, 'dest', 2)
        self.assertEqual([('dest', 2)], self.negotiation.told)
        self.assertEqual(Negotiation.ask, read(agreement.Ask, answer))
