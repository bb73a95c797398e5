# SPDX-License-Identifier: Apache-2.0

"""What the journal does not keep of migrate_data is read again.

Each field of each class of migrate_data that this Nova has is filled, so
that one that a later release adds is not forgotten.
"""

import json
import types

from nova import context as nova_context
from nova.network import model as network_model
from nova import objects
from nova.objects import base as nova_base
from nova.objects import fields
from nova.objects import migrate_data
from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle.compute.source import entries
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import secret
from nova_throttle import exception
from nova_throttle.objects import base

SECRET = 'c0rrect-horse'

# What is not kept and not missed: Nova and the destination add it anew.
ADDED_ANEW = {'bdms', 'migration'}

SAMPLES = {
    fields.BooleanField: True,
    fields.IntegerField: 7,
    fields.StringField: SECRET,
    fields.SensitiveStringField: SECRET,
    fields.UUIDField: uuids.sample,
    fields.IPAddressField: '192.0.2.1',
    fields.ListOfIntegersField: [7],
    fields.ListOfStringsField: ['a'],
    fields.DictOfStringsField: {uuids.key: 'a'},
    fields.SetOfIntegersField: {7},
    fields.DictOfSetOfIntegersField: {'1': {7}},
    fields.NetworkVIFModelField: network_model.VIF(id=uuids.port),
}


def classes():
    """Return the classes of migrate_data of this Nova."""
    found = nova_base.NovaObjectRegistry.obj_classes().values()
    return [
        versions[0]
        for versions in found
        if issubclass(versions[0], migrate_data.LiveMigrateData)
    ]


def sample(field):
    """Return a value for a field, whatever its type."""
    kind = field._type
    if isinstance(field, fields.ObjectField):
        return filled(kind._obj_name)
    if isinstance(field, fields.ListOfObjectsField):
        return [filled(kind._element_type._type._obj_name)]
    return next(
        value for cls, value in SAMPLES.items() if isinstance(field, cls)
    )


def filled(name):
    """Return an object with all fields set."""
    if name == 'Migration':
        return objects.Migration(id=1)
    (cls, *_) = nova_base.NovaObjectRegistry.obj_classes()[name]
    return cls(**{n: sample(field) for n, field in cls.fields.items()})


def data_of(thing):
    """Return the fields of an object and of those within it."""
    return without_changes(thing.obj_to_primitive())['nova_object.data']


def without_changes(value):
    # Their order is that of a set.
    if isinstance(value, dict):
        return {
            key: without_changes(item)
            for key, item in value.items()
            if key != 'nova_object.changes'
        }
    if isinstance(value, list):
        return [without_changes(item) for item in value]
    return value


objects.register_all()


def make_migration(data, requests=None):
    """Return a migration with this migrate_data."""
    instance = objects.Instance(uuid=uuids.instance)
    if requests is not None:
        instance.pci_requests = requests
    return migration_lib.LiveMigration(
        nova_context.RequestContext('me', is_admin=False),
        'dest',
        instance,
        False,
        objects.Migration(id=1, uuid=uuids.migration),
        data,
        request=types.SimpleNamespace(priority=0, arrival=1, held=False),
        publish=lambda transition: None,
        on_end=lambda migration: None,
    )


def entry_of(*args):
    """Return the entry of such a migration."""
    return entries.entry_of(make_migration(*args))


def restored(entry):
    """Return what is left of a migration after a restart."""
    migration = make_migration(None)
    entries.restore(entry, migration)
    entries.restore_pci_requests(entry, migration)
    return migration


class Driver:
    """Reads what Nova's driver would."""

    @staticmethod
    def _add_vtpm_secret_to_live_migrate_data(instance, data):
        data.vtpm_secret_uuid = uuids.sample
        data.vtpm_secret_value = SECRET


MANAGER = types.SimpleNamespace(driver=Driver)


class MigrateDataTestCase(testtools.TestCase):
    def test_each_field_is_kept_or_read_again(self):
        for cls in classes():
            data = filled(cls.obj_name())
            self.assert_read_again(data, restored(entry_of(data)))

    def test_what_was_not_read_again_is_still_missed(self):
        """The entry is written once more before its turn comes."""
        for cls in classes():
            data = filled(cls.obj_name())
            again = entries.entry_of(restored(entry_of(data)))
            self.assert_read_again(data, restored(again))

    def assert_read_again(self, data, migration):
        secret.read_again(MANAGER, migration)
        expected, found = data_of(data), data_of(migration.migrate_data)
        for name in expected.keys() - ADDED_ANEW:
            self.assertEqual(expected[name], found[name], name)

    def test_what_nova_calls_sensitive_is_not_kept(self):
        for cls in classes():
            entry = entry_of(filled(cls.obj_name()))
            for name, field in cls.fields.items():
                if isinstance(field, fields.SensitiveStringField):
                    self.assertIn(name, entry.unkept)
                    self.assertNotIn(f'"{name}": "', entry.migrate_data)

    def test_a_secret_within_another_field_is_missed(self):
        """A request without it leaves: nobody knows how to read it again."""
        for name in ('vif_details_json', 'profile_json'):
            vif = migrate_data.VIFMigrateData(
                port_id=uuids.port, **{name: json.dumps({'password': SECRET})}
            )
            entry = entry_of(objects.LibvirtLiveMigrateData(vifs=[vif]))
            self.assertNotIn(SECRET, json.dumps(base.to_primitive(entry)))
            error = self.assertRaises(
                exception.LostInRestart,
                secret.read_again,
                MANAGER,
                restored(entry),
            )
            self.assertIn(f'vifs.{name}.password', str(error))

    def test_a_secret_of_a_pci_request_is_missed(self):
        request = objects.InstancePCIRequest(
            count=1, spec=[{'secret': SECRET}]
        )
        entry = entry_of(None, objects.InstancePCIRequests(requests=[request]))
        self.assertNotIn(SECRET, json.dumps(base.to_primitive(entry)))
        self.assertRaises(
            exception.LostInRestart,
            secret.read_again,
            MANAGER,
            restored(entry),
        )

    def test_what_cannot_be_read_is_missed(self):
        """It is of another Nova."""
        entry = entry_of(None)
        text = json.dumps(
            {
                'nova_object.name': 'LibvirtLiveMigrateData',
                'nova_object.namespace': 'nova',
                'nova_object.version': '7.0',
                'nova_object.data': {},
            }
        )
        entry.migrate_data = entry.pci_requests = text
        migration = restored(entry)
        again = restored(entries.entry_of(migration))
        for each in (migration, again):
            error = self.assertRaises(
                exception.LostInRestart, secret.read_again, MANAGER, each
            )
            self.assertIn('migrate_data', str(error))
            self.assertIn('pci_requests', str(error))
            # A rollback can do with it.
            self.assertTrue(each.migrate_data.is_shared_instance_path)

    def test_it_cannot_be_read(self):
        def find(instance, data):
            raise RuntimeError('no such secret')

        driver = types.SimpleNamespace(
            _add_vtpm_secret_to_live_migrate_data=find
        )
        migration = make_migration(
            types.SimpleNamespace(vtpm_secret_value=None)
        )
        migration.unkept = ['vtpm_secret_value']
        error = self.assertRaises(
            exception.LostInRestart,
            secret.read_again,
            types.SimpleNamespace(driver=driver),
            migration,
        )
        self.assertIn('vtpm_secret_value', str(error))
        self.assertIn('no such secret', str(error))
