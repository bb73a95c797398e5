# SPDX-License-Identifier: Apache-2.0

"""Another host's throttle is seen and changed over Nova's message bus."""

import fixtures
from nova import context
import oslo_messaging as messaging
from oslo_messaging._drivers import common
from oslo_messaging._drivers import impl_fake
from oslo_messaging import transport

from nova_throttle import exception
from nova_throttle import overrides
from nova_throttle import rpcapi
from nova_throttle.tests.functional import base


class RPCAPITestCase(base.ThrottleTestCase):
    def setUp(self):
        super().setUp()
        self.ctxt = context.get_admin_context()
        self.remote = rpcapi.ThrottleAPI('src', timeout=base.PATIENCE)

    def test_snapshot(self):
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        found = self.remote.get_snapshot(self.ctxt)
        self.assertEqual('src', found.host)
        self.assertFalse(found.closed)
        (gate,) = [g for g in found.gates if g.name == 'source']
        self.assertEqual(('source', 1), (gate.name, gate.limit))
        self.assertEqual([self.migration(a).uuid], gate.owners)
        (entry,) = found.queue
        self.assertEqual(self.migration(b).uuid, entry.migration_uuid)
        self.assertEqual(b['id'], entry.instance_uuid)
        self.assertEqual('dest', entry.destination)
        self.assertEqual(
            'gate full: source (1 of 1 in progress)',
            str(entry.waits_for[0].to_core()),
        )

    def test_limits_are_per_host(self):
        self.remote.set_limit(self.ctxt, 'source', 7)
        other = rpcapi.ThrottleAPI('dest', timeout=base.PATIENCE)
        found = other.get_snapshot(self.ctxt).gates
        (gate,) = [g for g in found if g.name == 'source']
        self.assertEqual(1, gate.limit)
        self.assertEqual('dest', other.get_snapshot(self.ctxt).host)

    def test_nova_counts_our_calls_as_its_own(self):
        # It waits for those in progress when it stops.
        if not hasattr(self.src.manager, '_record_task_start'):
            self.skipTest('this Nova waits for no task')
        seen = []
        original = self.src.manager._record_task_start

        def record(name, *args):
            seen.append(name)
            return original(name, *args)

        self.useFixture(
            fixtures.MockPatchObject(
                self.src.manager, '_record_task_start', record
            )
        )
        self.remote.set_limit(self.ctxt, 'source', 2)
        self.assertEqual(['set_limit'], seen)

    def test_a_user_is_refused(self):
        user = context.RequestContext('user', 'project', is_admin=False)
        self.assertRaises(
            exception.AdminRequired, self.remote.get_snapshot, user
        )
        self.assertRaises(
            exception.AdminRequired, self.remote.set_limit, user, 'source', 9
        )
        self.assertEqual(1, self.throttle.snapshot().gates['source'].limit)


class ErrorsAsTextFixture(fixtures.Fixture):
    """Make errors cross the bus as text, as over a real bus.

    :param allowed: modules whose errors the caller may build again.
    """

    def __init__(self, *allowed):
        super().__init__()
        self._allowed = allowed

    def _setUp(self):
        original = impl_fake.FakeIncomingMessage.reply

        def reply(message, reply=None, failure=None):
            if failure:
                text = common.serialize_remote_exception(failure)
                error = common.deserialize_remote_exception(
                    text, self._allowed
                )
                failure = (type(error), error, None)
            original(message, reply, failure)

        self.useFixture(
            fixtures.MonkeyPatch(
                'oslo_messaging._drivers.impl_fake.FakeIncomingMessage.reply',
                reply,
            )
        )


class RefusalsTestCase(base.ThrottleTestCase):
    """What a caller and a log see of a refusal."""

    def setUp(self):
        super().setUp()
        self.ctxt = context.get_admin_context()
        self.remote = rpcapi.ThrottleAPI('src', timeout=base.PATIENCE)

    def refused(self):
        return self.assertRaises(
            exception.InvalidLimit,
            self.remote.set_limit,
            self.ctxt,
            'source',
            -1,
        )

    def test_with_its_data(self):
        self.useFixture(ErrorsAsTextFixture(exception.__name__))
        error = self.refused()
        self.assertEqual(('source', -1), (error.gate, error.limit))
        self.assertEqual(
            'the limit of gate source must be 0 or more, not -1',
            error.args[0],
        )

    def test_where_our_errors_are_not_allowed(self):
        self.useFixture(ErrorsAsTextFixture())
        self.assertEqual(
            'the limit of gate source must be 0 or more, not -1',
            str(self.refused()),
        )

    def test_logged_in_one_line(self):
        self.refused()
        log = self.stdlog.logger.output
        self.assertIn('set_limit was refused', log)
        self.assertNotIn('Traceback', log)

    def test_what_fails_is_said(self):
        self.useFixture(ErrorsAsTextFixture())
        bug = fixtures.MockPatchObject(
            self.throttle, 'snapshot', side_effect=RuntimeError('a bug')
        )
        with bug:
            error = self.assertRaises(
                exception.HostFailed, self.remote.get_snapshot, self.ctxt
            )
        self.assertIn('RuntimeError: a bug', str(error))


class StrangersTestCase(base.ThrottleTestCase):
    """A host that is not there, and one without us."""

    def setUp(self):
        super().setUp()
        self.ctxt = context.get_admin_context()

    def ask(self, host, timeout):
        rpcapi.ThrottleAPI(host, timeout).get_snapshot(self.ctxt)

    def test_nobody_there(self):
        error = self.assertRaises(
            exception.HostSilent, self.ask, 'nowhere', 0.1
        )
        self.assertEqual(('nowhere', 0.1), (error.host, error.timeout))

    def test_a_bus_that_is_away_is_not_waited_for(self):
        """Unless told otherwise, the library tries for ever to send."""
        retries = []
        original = transport.Transport._send

        def send(this, target, *args, **kwargs):
            if target.namespace != rpcapi.NAMESPACE:
                return original(this, target, *args, **kwargs)
            retries.append(kwargs.get('retry'))
            raise messaging.MessageDeliveryFailure('no bus')

        self.patch(transport.Transport, '_send', send)
        self.assertRaises(exception.HostFailed, self.ask, 'src', 1)
        line = rpcapi._Line('src', '2.0')
        self.assertRaises(exception.HostFailed, line.cast, self.ctxt, 'tell')
        self.assertEqual([rpcapi.SEND_RETRIES] * 2, retries)

    def test_nobody_there_for_as_long_as_nova_waits(self):
        self.flags(rpc_response_timeout=1)
        error = self.assertRaises(
            exception.HostSilent, self.ask, 'nowhere', None
        )
        self.assertEqual(1, error.timeout)

    def test_a_host_without_us(self):
        overrides.uninstall()
        # Before the base class looks for throttles.
        self.addCleanup(self.computes.pop, 'plain')
        self.start_compute(hostname='plain')
        for errors_as_text in (False, True):
            if errors_as_text:
                self.useFixture(ErrorsAsTextFixture())
            error = self.assertRaises(
                exception.HostNotThrottled, self.ask, 'plain', base.PATIENCE
            )
            self.assertEqual('plain', error.host)
