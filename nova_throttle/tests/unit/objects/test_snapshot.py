# SPDX-License-Identifier: Apache-2.0

"""What crosses the wire is read as it was written, by any of our versions.

Whoever changes an object changes its pinned hash here, raises its version,
and says in obj_make_compatible how to make the older one.
"""

import types

from nova.objects import base as nova_base
from oslo_serialization import jsonutils
from oslo_utils.fixture import uuidsentinel as uuids
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import exception as ovo_exception
from oslo_versionedobjects import fields
from oslo_versionedobjects import fixture as ovo_fixture
import testtools

from nova_throttle.admission import snapshot as core
from nova_throttle import lifecycle
from nova_throttle.objects import agreement
from nova_throttle.objects import base
from nova_throttle.objects import entry as entry_obj
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle.transfer import progress as progress_lib

HASHES = {
    agreement.Ask.obj_name(): '2.0-1c44ea7a7c2adbb7550b0f01e34d959e',
    'Gate': '1.1-f417d4414f81e8fcf030a8e987c1726c',
    agreement.GateNews.obj_name(): '2.0-d1ea0cab0cf30230e82281bb1b1355a0',
    agreement.Item.obj_name(): '2.0-8a530c00bf3a4dfa25db978d79e985e0',
    entry_obj.JournalEntry.obj_name(): (
        '4.0-9f67a1aa85326eafb13233886a76d58c'
    ),
    'MigrationView': '1.0-9672f08ba01c51feccd8015bc53fcaa8',
    agreement.Offer.obj_name(): '2.0-a2db6ef8fade1e64c31b994fdcba6c71',
    'Pause': '1.0-b0f665277d6baa82aa58c2c998e1a065',
    'QueueEntry': '1.0-74ddfe0c75b0eb144886ef1f8baf5bb0',
    'Snapshot': '1.3-9f7ad968d33d0c12a713bcf353bab48c',
    agreement.Tell.obj_name(): '2.0-8343a79d665a8d7230ded6efadd84481',
    'TransferProgress': '1.0-7beee0d15552784d9698f055dc0de944',
    'Wait': '1.6-d5e5f9bc29940826537e480ee48125f9',
}

# An older reader refuses any other.
REASONS_OF_1_0 = (
    'gate full',
    'turn reserved for another',
    'service starts',
    'service stops',
)

VALUE = core.Snapshot(
    gates=types.MappingProxyType(
        {
            'source': core.GateState('source', 1, (uuids.running,)),
            'destination': core.GateState(
                'destination', 0, (), (uuids.offered,), (uuids.a, uuids.b)
            ),
        }
    ),
    queue=(
        core.QueueEntry(
            migration_uuid=uuids.queued,
            instance_uuid=uuids.instance,
            destination='dest',
            priority=-5,
            position=1,
            seconds_waited=1.5,
            waits_for=(
                core.Wait(
                    core.WaitReason.GATE_FULL, 'source', 1, (uuids.running,)
                ),
                core.Wait(
                    core.WaitReason.GATE_FULL,
                    *('destination', 2, (uuids.c, uuids.d), 'dest', 3),
                ),
                core.Wait(core.WaitReason.STOPPING),
            ),
        ),
    ),
    closed=True,
    progress={
        uuids.running: progress_lib.Progress(5, 7, 1.5, 0.5, 2, 1, 3.5),
        uuids.other: progress_lib.Progress(),
    },
)


class Gate(snapshot_obj.Gate):
    """A gate of the future."""

    VERSION = '1.2'

    fields = {'colour': fields.StringField()}

    def obj_make_compatible(self, primitive, target_version):
        super().obj_make_compatible(primitive, target_version)
        if base.is_before(target_version, '1.2'):
            primitive.pop('colour', None)


class VersionsTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.classes = base.ThrottleVersionedObjectRegistry.obj_classes()
        self.checker = ovo_fixture.ObjectVersionChecker(self.classes)

    def test_hashes(self):
        expected, found = self.checker.test_hashes(HASHES)
        self.assertEqual(expected, found, 'raise a version')

    def test_older_versions_can_be_made(self):
        for newest, *_ in self.classes.values():
            major, minor = newest.VERSION.split('.')
            for older in range(int(minor) + 1):
                version = f'{major}.{older}'
                readable = {**base.versions(), newest.obj_name(): version}
                primitive = base.to_primitive(newest(), readable)
                self.assertEqual(
                    version, primitive['nova_throttle_object.version']
                )

    def test_nobody_else_knows_our_objects(self):
        for name in self.classes:
            others = ovo_base.VersionedObjectRegistry.obj_classes()
            for found in others.get(name, ()):
                self.assertFalse(issubclass(found, base.ThrottleObject))
        primitive = base.to_primitive(snapshot_obj.Gate(name='source'))
        serializer = nova_base.NovaObjectSerializer()
        # To Nova it is plain data.
        self.assertEqual(
            primitive, serializer.deserialize_entity(None, primitive)
        )

    def test_we_know_nobody_elses(self):
        self.assertRaises(
            ovo_exception.UnsupportedObjectError,
            base.ThrottleObject.obj_class_from_name,
            'Instance',
            '1.0',
        )


class SnapshotTestCase(testtools.TestCase):
    def cross(self, thing, readable=None):
        """Return what the other end makes of an object."""
        text = jsonutils.dumps(base.to_primitive(thing, readable))
        return type(thing).obj_from_primitive(jsonutils.loads(text))

    def test_a_snapshot_crosses_the_wire(self):
        sent = snapshot_obj.Snapshot.from_core('src', VALUE)
        snapshot = self.cross(sent)
        self.assertEqual('src', snapshot.host)
        self.assertTrue(snapshot.closed)
        gates = {gate.name: gate for gate in snapshot.gates}
        self.assertEqual(1, gates['source'].limit)
        self.assertEqual([uuids.running], gates['source'].owners)
        self.assertEqual(0, gates['destination'].limit)
        self.assertEqual([uuids.offered], gates['destination'].offered)
        self.assertEqual([uuids.a, uuids.b], gates['destination'].waiting)
        (entry,) = snapshot.queue
        (expected,) = VALUE.queue
        for name in entry.fields:
            if name != 'waits_for':
                self.assertEqual(getattr(expected, name), getattr(entry, name))
        self.assertEqual(
            expected.waits_for,
            tuple(wait.to_core() for wait in entry.waits_for),
        )

    def test_every_state_crosses_the_wire(self):
        views = [
            lifecycle.View(uuids.a, uuids.b, 'dest', state, 'why')
            for state in lifecycle.State
        ]
        sent = snapshot_obj.Snapshot.from_core('src', VALUE, views)
        found = self.cross(sent).migrations
        self.assertEqual(views, [view.to_core() for view in found])

    def test_progress_crosses_the_wire(self):
        found = self.cross(snapshot_obj.Snapshot.from_core('src', VALUE))
        self.assertEqual(
            VALUE.progress,
            {each.migration_uuid: each.to_core() for each in found.transfers},
        )

    def test_an_older_reader_gets_no_progress(self):
        sent = snapshot_obj.Snapshot.from_core('src', VALUE)
        found = self.cross(sent, {'Snapshot': '1.1'})
        self.assertNotIn('transfers', found)
        self.assertIn('migrations', found)

    def test_an_older_reader_gets_no_migrations(self):
        sent = snapshot_obj.Snapshot.from_core('src', VALUE)
        found = self.cross(sent, {'Snapshot': '1.0'})
        self.assertNotIn('migrations', found)

    def test_every_reason_crosses_the_wire(self):
        for reason in core.WaitReason:
            wait = snapshot_obj.Wait.from_core(core.Wait(reason))
            self.assertIs(reason, self.cross(wait).to_core().reason)


class OlderReaderTestCase(testtools.TestCase):
    """A reader that knows the objects of version 1.0."""

    readable = {'Gate': '1.0', 'Snapshot': '1.0', 'Wait': '1.0'}

    def data(self, thing):
        """Return the fields that the reader gets."""
        primitive = base.to_primitive(thing, self.readable)
        self.assertEqual('1.0', primitive['nova_throttle_object.version'])
        return primitive['nova_throttle_object.data']

    def test_gate(self):
        gate = snapshot_obj.Gate.from_core(VALUE.gates['destination'])
        self.assertEqual({'name', 'limit', 'owners'}, set(self.data(gate)))

    def test_wait(self):
        for reason in core.WaitReason:
            wait = snapshot_obj.Wait.from_core(core.Wait(reason, host='dest'))
            data = self.data(wait)
            self.assertEqual({'reason', 'gate', 'limit', 'owners'}, set(data))
            self.assertIn(data['reason'], REASONS_OF_1_0)

    def test_what_is_in_a_snapshot(self):
        data = self.data(snapshot_obj.Snapshot.from_core('src', VALUE))
        (entry,) = data['queue']
        waits = entry['nova_throttle_object.data']['waits_for']
        for each in (*data['gates'], *waits):
            self.assertEqual('1.0', each['nova_throttle_object.version'])


class OlderWriterTestCase(testtools.TestCase):
    """What comes from a host that knows the objects of version 1.0."""

    def test_gate(self):
        gate = snapshot_obj.Gate(name='source', limit=1, owners=[])
        primitive = base.to_primitive(gate, {'Gate': '1.0'})
        found = snapshot_obj.Gate.obj_from_primitive(primitive)
        self.assertNotIn('offered', found)
        self.assertNotIn('waiting', found)

    def test_wait(self):
        value = core.Wait(core.WaitReason.GATE_FULL, 'source', 1)
        wait = snapshot_obj.Wait.from_core(value)
        primitive = base.to_primitive(wait, {'Wait': '1.0'})
        found = snapshot_obj.Wait.obj_from_primitive(primitive)
        self.assertEqual(value, found.to_core())


class TwoVersionsTestCase(testtools.TestCase):
    """One end has a newer Gate than the other."""

    def setUp(self):
        super().setUp()
        self.old = base.versions()
        registry = base.ThrottleVersionedObjectRegistry
        known = registry.obj_classes()['Gate']
        self.addCleanup(known.remove, Gate)
        registry.register(Gate)
        self.newer = Gate(name='source', limit=1, owners=[], colour='red')
        self.snapshot = snapshot_obj.Snapshot(gates=[self.newer])

    def gate_for(self, readable):
        primitive = base.to_primitive(self.snapshot, readable)
        return primitive['nova_throttle_object.data']['gates'][0]

    def test_an_older_reader_gets_what_it_knows(self):
        found = self.gate_for(self.old)
        self.assertEqual('1.1', found['nova_throttle_object.version'])
        self.assertNotIn('colour', found['nova_throttle_object.data'])
        gate = snapshot_obj.Gate.obj_from_primitive(found)
        self.assertIs(snapshot_obj.Gate, type(gate))

    def test_a_like_reader_gets_everything(self):
        for readable in (None, base.versions(), {}):
            found = self.gate_for(readable)
            self.assertEqual('1.2', found['nova_throttle_object.version'])
            gate = snapshot_obj.Gate.obj_from_primitive(found)
            self.assertEqual('red', gate.colour)

    def test_a_newer_reader_gets_what_we_have(self):
        found = self.gate_for({**self.old, 'Gate': '1.10', 'Door': '2.0'})
        self.assertEqual('1.2', found['nova_throttle_object.version'])

    def test_what_is_newer_than_we_can_read_is_refused(self):
        found = self.gate_for(None)
        found['nova_throttle_object.version'] = '1.3'
        self.assertRaises(
            ovo_exception.IncompatibleObjectVersion,
            snapshot_obj.Gate.obj_from_primitive,
            found,
        )
