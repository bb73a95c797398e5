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

"""The count of migration records in progress."""

import types

import testtools

from nova_throttle.demo import records


class RecordsTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.records = records.Records()
        self.peaks_while_saving = []
        self.save = self.records.watching(
            lambda _: self.peaks_while_saving.append(self.sent())
        )

    def sent(self):
        return self.records.tally.sent.get('source', 0)

    def enter(self, uuid, *statuses, source='source'):
        for status in statuses:
            self.save(
                types.SimpleNamespace(
                    uuid=uuid,
                    instance_uuid=f'instance-{uuid}',
                    status=status,
                    migration_type='live-migration',
                    source_compute=source,
                    dest_compute='dest',
                )
            )

    def test_one_after_the_other(self):
        self.enter('a', 'accepted', 'queued', 'preparing', 'running')
        self.enter('b', 'accepted', 'queued')
        self.enter('a', 'completed')
        self.enter('b', 'preparing', 'running', 'completed')
        self.assertEqual({'source': 1}, self.records.tally.sent)
        self.assertEqual({'dest': 1}, self.records.tally.received)

    def test_each_host_is_counted(self):
        for source in ('source', 'other'):
            self.enter(source, 'preparing', 'running', source=source)
        self.assertEqual({'source': 1, 'other': 1}, self.records.tally.sent)
        self.assertEqual({'dest': 2}, self.records.tally.received)

    def test_overlap_is_seen_before_the_record_is_saved(self):
        self.enter('a', 'preparing', 'running')
        self.enter('b', 'preparing')
        self.assertEqual([1, 1, 2], self.peaks_while_saving)

    def test_each_status_is_told_once(self):
        self.enter('a', 'accepted', 'queued', 'queued', 'preparing')
        told = [record.status for record in self.records.wait(0)]
        self.assertEqual(['queued', 'preparing'], told)
        self.assertEqual([], self.records.wait(0))
