# SPDX-License-Identifier: Apache-2.0

"""What an entry of the journal is, and what it never is: a secret."""

import datetime
import json

from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle.objects import base
from nova_throttle.objects import entry as entry_obj

SECRET = 'c0rrect-horse'
REQUIRED = {
    'migration_uuid': uuids.migration,
    'migration_id': 7,
    'instance_uuid': uuids.instance,
    'destination': 'dest',
}


def written(entry):
    return json.dumps(base.to_primitive(entry))


class JournalEntryTestCase(testtools.TestCase):
    def test_has_defaults(self):
        entry = entry_obj.JournalEntry(**REQUIRED)
        for name in entry.fields:
            self.assertTrue(entry.obj_attr_is_set(name), name)
        self.assertEqual('queued', entry.state)
        self.assertEqual({}, entry.context)
        self.assertIsNone(entry.migrate_data)
        self.assertIsNotNone(entry.accepted_at.tzinfo)

    def test_is_read_as_it_was_written(self):
        entry = entry_obj.JournalEntry(
            **REQUIRED,
            block_migration=True,
            migrate_data='{"nova_object.name": "LibvirtLiveMigrateData"}',
            priority=-3,
            accepted_at=datetime.datetime(2026, 1, 2, 3, 4, 5, 678),
            context={'user_id': 'me', 'project_name': None},
            state='rolling back',
            attachments={uuids.volume: uuids.attachment},
            prepared=True,
            status='failed',
            reason='it did not work',
        )
        again = entry_obj.JournalEntry.obj_from_primitive(
            json.loads(written(entry))
        )
        self.assertEqual(entry, again)
        self.assertEqual(
            {'user_id': 'me', 'project_name': None}, again.context
        )
        self.assertEqual(1, len({entry, again}))
        again.state = 'transferring'
        self.assertNotEqual(entry, again)
        self.assertNotEqual(entry, 'an entry')

    def test_refuses_what_is_no_state_and_no_json(self):
        for field, value in (
            ('state', 'flying'),
            ('migrate_data', 'no json'),
            ('pci_requests', '{'),
            ('context', 'me'),
        ):
            self.assertRaises(
                ValueError, entry_obj.JournalEntry, **{field: value}
            )


class SecretsTestCase(testtools.TestCase):
    def test_only_an_identity_stays_of_a_context(self):
        entry = entry_obj.JournalEntry(
            context={
                'user_id': 'me',
                'auth_token': SECRET,
                'password': SECRET,
                'service_catalog': [{'endpoints': SECRET}],
                'roles': ['admin'],
            }
        )
        self.assertEqual({'user_id': 'me'}, entry.context)

    def test_what_comes_into_a_context_later_is_not_written(self):
        entry = entry_obj.JournalEntry(context={'user_id': 'me'})
        entry.context['auth_token'] = SECRET
        entry.context.update(password=SECRET)
        self.assertIn('"me"', written(entry))
        self.assertNotIn(SECRET, written(entry))

    def test_migrate_data_is_scrubbed_at_any_depth(self):
        connection = {
            'data': {'auth_password': SECRET, 'auth_username': 'chap'},
            'credentials': {'ceph': [SECRET, None]},
        }
        bdm = {'serial': 's', 'connection_info_json': json.dumps(connection)}
        entry = entry_obj.JournalEntry(
            migrate_data=json.dumps({'nova_object.data': {'bdms': [bdm]}}),
            pci_requests=json.dumps([{'token': SECRET}]),
        )
        self.assertNotIn(SECRET, written(entry))
        (found,) = json.loads(entry.migrate_data)['nova_object.data']['bdms']
        self.assertEqual('s', found['serial'])
        connection = json.loads(found['connection_info_json'])
        self.assertEqual('chap', connection['data']['auth_username'])
        self.assertEqual([None, None], connection['credentials']['ceph'])

    def test_says_where_secrets_were(self):
        vif = {'profile_json': '{"token": "t", "pci_slot": "0"}'}
        text, found = entry_obj.scrubbed(
            json.dumps(
                {
                    'nova_object.data': {
                        'vtpm_secret_value': SECRET,
                        'vtpm_secret_uuid': None,
                        'vifs': [{'nova_object.data': vif}],
                    }
                }
            )
        )
        self.assertEqual(
            ['vtpm_secret_value', 'vifs.profile_json.token'], found
        )
        self.assertNotIn(SECRET, text)
        self.assertEqual((text, []), entry_obj.scrubbed(text))

    def test_what_holds_no_secret_is_not_touched(self):
        text = '{"vifs":  [{"source_vif": "{\\"id\\": 1}", "x": "[ddd"}]}'
        entry = entry_obj.JournalEntry(migrate_data=text)
        self.assertEqual(text, entry.migrate_data)
