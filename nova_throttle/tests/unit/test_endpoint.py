# SPDX-License-Identifier: Apache-2.0

"""Whatever comes over the bus is answered, and is one line in the log."""

import copy
import types

import fixtures
from nova import context
import oslo_messaging as messaging
from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle.agreement import controller as controller_lib
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages
from nova_throttle.agreement import source
from nova_throttle import endpoint
from nova_throttle import exception
from nova_throttle.objects import agreement
from nova_throttle.objects import base as objects_base
from nova_throttle import queue_endpoint
from nova_throttle import refusal

ADMIN = context.get_admin_context()

ASK = objects_base.to_primitive(
    agreement.Ask.from_core(
        messages.Ask(
            source='src',
            incarnation=1,
            serial=1,
            knows=1,
            items=(
                messages.Item(
                    uuids.migration,
                    uuids.instance,
                    messages.DESTINATION,
                    messages.Standing.READY,
                ),
            ),
            complete=True,
        )
    )
)
TELL = objects_base.to_primitive(
    agreement.Tell.from_core(
        messages.Tell(
            'dest',
            incarnation=1,
            serial=1,
            answers=1,
            offers=(messages.Offer(uuids.migration, 'destination', 1),),
            gates=(
                messages.Gate(
                    'destination', 1, (uuids.owner,), ((uuids.migration, 1),)
                ),
            ),
        )
    )
)

# A message that can be read, for each method.
GOOD = {
    'get_snapshot': {'versions': objects_base.versions()},
    'set_limit': {'gate': 'source', 'limit': 2},
    'ask': {'ask': ASK, 'versions': objects_base.versions()},
    'tell': {'tell': TELL},
    'report': {'destination': 'dest', 'incarnation': 1},
    'see': {'instance_uuid': uuids.instance},
    'set_priority': {'migration_uuid': uuids.migration, 'priority': 'drain'},
    'hold': {'migration_uuid': uuids.migration},
    'release': {'migration_uuid': uuids.migration},
    'cancel': {'migration_uuid': uuids.migration},
    'pause': {'reason': 'new switch'},
    'resume': {},
    'hint': {'gates': ['rack-12'], 'changed': True},
}

NONSENSE = (
    None,
    '',
    ' ',
    'x' * 10_000,
    'two\nlines',
    -1,
    1.5,
    True,
    2**80,
    [],
    [None],
    {},
    {'a': 'b'},
    {'nova_throttle_object.data': None},
    b'\xff',
)

# What else is fine there.
FINE = {
    ('get_snapshot', 'versions'): (None, {}),
    ('ask', 'versions'): (None, {}),
    ('report', 'destination'): ('x' * 10_000,),
    ('set_limit', 'limit'): (2**80,),
    ('report', 'incarnation'): (-1, 2**80),
    ('pause', 'reason'): ('', ' ', 'x' * 10_000, 'two\nlines'),
    ('hint', 'gates'): ([],),
    ('hint', 'changed'): (True,),
}


class Control:
    """An operator's commands that do nothing."""

    def prioritize(self, migration_uuid, priority):
        return 0

    def hold(self, migration_uuid, held):
        pass

    def cancel(self, ctxt, migration_uuid):
        pass

    def pause(self, reason, request_id, user):
        pass

    def resume(self):
        pass


def spoilt(value, path=()):
    """Yield copies of nested data with one thing wrong, and where."""
    if isinstance(value, dict):
        for key in value:
            without = copy.deepcopy(value)
            del without[key]
            yield (*path, key, 'missing'), without
            for where, worse in spoilt(value[key], (*path, key)):
                changed = copy.deepcopy(value)
                changed[key] = worse
                yield where, changed
    elif isinstance(value, list):
        for each in value[:1]:
            for where, worse in spoilt(each, (*path, 0)):
                yield where, [worse]
    for nonsense in NONSENSE:
        yield (*path, repr(nonsense)[:20]), nonsense


class NonsenseTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.refusal.INTERVAL', 0)
        )
        self.log = self.useFixture(fixtures.FakeLogger())
        self.make_endpoint()

    def make_endpoint(self):
        self.told = []
        incoming = destination.Destination(
            'dest', 1, {messages.DESTINATION: 1}, self.told.append
        )
        throttle = controller_lib.HostController(
            {'in progress': {'source': 1}},
            start=id,
            source=source.Source('dest', 1),
            tell=self.told.append,
            destination=incoming,
        )
        self.throttle, self.incoming = throttle, incoming
        manager = types.SimpleNamespace(host='dest', throttle=throttle)
        self.queue = queue_endpoint.QueueEndpoint(manager, Control())
        self.endpoint = endpoint.ThrottleEndpoint(
            manager,
            types.SimpleNamespace(
                hear=self.hear,
                receive=throttle.receive,
                report=throttle.report,
                hint=lambda gates, changed: None,
            ),
            lambda ctxt, uuid: 'runs',
        )

    def hear(self, ask):
        self.incoming.hear(ask)
        return self.incoming.compose(ask.source)

    def method(self, name):
        found = getattr(self.endpoint, name, None)
        return found or getattr(self.queue, name)

    def call(self, name, arguments):
        """Return the error that the caller gets; None if it gets none."""
        self.log.reset_output()
        try:
            self.method(name)(ADMIN, **arguments)
        except messaging.ExpectedException as refused:
            return refused.exc_info[1]
        return None

    def assert_refused(self, name, arguments, where):
        before = self.throttle.snapshot()
        error = self.call(name, arguments)
        self.assertIsInstance(error, exception.ThrottleError, where)
        # A log that was reset has zeros where it had text.
        (line,) = self.log.output.strip('\0').splitlines()
        self.assertIn(f'{name} was refused: ', line)
        self.assertThat(len(line), testtools.matchers.LessThan(400), line)
        self.assertEqual(before, self.throttle.snapshot())

    def test_what_is_right_is_answered(self):
        for name, arguments in GOOD.items():
            self.assertIsNone(self.call(name, arguments), name)

    def test_an_argument_is_missing_or_unknown(self):
        for name, arguments in GOOD.items():
            unknown = {**arguments, 'colour': 'red'}
            self.assert_refused(name, unknown, name)
            for missing in arguments:
                if missing != 'versions':
                    rest = {k: v for k, v in arguments.items() if k != missing}
                    self.assert_refused(name, rest, (name, missing))

    def test_an_argument_is_nonsense(self):
        for name, arguments in GOOD.items():
            for key in arguments:
                for value in NONSENSE:
                    fine = FINE.get((name, key), ())
                    if not any(value is v or value == v for v in fine):
                        spoiled = {**arguments, key: value}
                        self.assert_refused(name, spoiled, (name, key, value))

    def test_whatever_is_within_a_message_is_read_or_refused(self):
        """The library turns a number into a string, and so on."""
        for name, key in (('ask', 'ask'), ('tell', 'tell')):
            for where, message in spoilt(GOOD[name][key]):
                self.make_endpoint()
                error = self.call(name, {key: message})
                lines = self.log.output.splitlines()
                self.assertEqual(0 if error is None else 1, len(lines), where)
                # Whatever was taken up does no harm to who looks.
                self.throttle.snapshot()
                self.assertIsNone(self.call('get_snapshot', {}), where)

    def test_versions_that_nobody_can_make(self):
        for version in ('one', 1, None, '1.0.0'):
            versions = {'Snapshot': version}
            self.assert_refused(
                'get_snapshot', {'versions': versions}, version
            )

    def test_who_is_no_administrator_learns_nothing_else(self):
        user = context.RequestContext('me', 'project', is_admin=False)
        for name in GOOD:
            refused = self.assertRaises(
                messaging.ExpectedException,
                self.method(name),
                user,
                colour='red',
            )
            self.assertIsInstance(refused.exc_info[1], exception.AdminRequired)


class RefusalsTestCase(testtools.TestCase):
    """However much is refused, the log has little of it."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.now = 0.0
        self.refusals = refusal.Refusals(lambda: self.now)

    def refuse(self, sender, method='ask'):
        with (
            testtools.ExpectedException(messaging.ExpectedException),
            self.refusals.of(method, sender),
        ):
            raise exception.InvalidMessage(reason='it is nonsense')

    def test_one_line_a_minute_for_each_sender(self):
        for _ in range(50):
            self.refuse('host a')
            self.refuse('host b')
        self.assertEqual(2, len(self.log.output.splitlines()))
        log = self.useFixture(fixtures.FakeLogger())
        self.now += refusal.INTERVAL
        self.refuse('host a')
        self.assertEqual(
            'ask was refused: it cannot be read: it is nonsense (from host '
            'a, 49 more before)\n',
            log.output,
        )

    def test_names_that_are_made_up_cost_no_memory(self):
        for number in range(10 * refusal.REMEMBERED):
            self.refuse(f'host {number}')
        self.assertEqual(refusal.REMEMBERED, len(self.refusals._said))
