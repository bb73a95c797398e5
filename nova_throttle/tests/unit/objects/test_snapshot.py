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
from nova_throttle.objects import base
from nova_throttle.objects import entry as entry_obj
from nova_throttle.objects import snapshot as snapshot_obj

HASHES = {
    'Gate': '1.0-47cecda302d7aec30438d4c0bd732ab6',
    entry_obj.JournalEntry.obj_name(): (
        '1.0-74587b52d32eb553b76890a61dccc739'
    ),
    'QueueEntry': '1.0-74ddfe0c75b0eb144886ef1f8baf5bb0',
    'Snapshot': '1.0-71b002de3929ad2a76048dda5b4eb5bc',
    'Wait': '1.0-92d6b235ce6f1b7fa161060468bae2ec',
}

VALUE = core.Snapshot(
    gates=types.MappingProxyType(
        {
            'source': core.GateState('source', 1, (uuids.running,)),
            'destination': core.GateState('destination', 0, ()),
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
                core.Wait(core.WaitReason.STOPPING),
            ),
        ),
    ),
    closed=True,
)


class Gate(snapshot_obj.Gate):
    """A gate of the future."""

    VERSION = '1.1'

    fields = {'colour': fields.StringField()}

    def obj_make_compatible(self, primitive, target_version):
        super().obj_make_compatible(primitive, target_version)
        if target_version == '1.0':
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
        (entry,) = snapshot.queue
        (expected,) = VALUE.queue
        for name in entry.fields:
            if name != 'waits_for':
                self.assertEqual(getattr(expected, name), getattr(entry, name))
        self.assertEqual(
            expected.waits_for,
            tuple(wait.to_core() for wait in entry.waits_for),
        )

    def test_every_reason_crosses_the_wire(self):
        for reason in core.WaitReason:
            wait = snapshot_obj.Wait.from_core(core.Wait(reason))
            self.assertIs(reason, self.cross(wait).to_core().reason)


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
        self.assertEqual('1.0', found['nova_throttle_object.version'])
        self.assertNotIn('colour', found['nova_throttle_object.data'])
        gate = snapshot_obj.Gate.obj_from_primitive(found)
        self.assertIs(snapshot_obj.Gate, type(gate))

    def test_a_like_reader_gets_everything(self):
        for readable in (None, base.versions(), {}):
            found = self.gate_for(readable)
            self.assertEqual('1.1', found['nova_throttle_object.version'])
            gate = snapshot_obj.Gate.obj_from_primitive(found)
            self.assertEqual('red', gate.colour)

    def test_a_newer_reader_gets_what_we_have(self):
        found = self.gate_for({**self.old, 'Gate': '1.10', 'Door': '2.0'})
        self.assertEqual('1.1', found['nova_throttle_object.version'])

    def test_what_is_newer_than_we_can_read_is_refused(self):
        found = self.gate_for(None)
        found['nova_throttle_object.version'] = '1.2'
        self.assertRaises(
            ovo_exception.IncompatibleObjectVersion,
            snapshot_obj.Gate.obj_from_primitive,
            found,
        )
