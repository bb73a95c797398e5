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

from nova_throttle.cmd.stage import records


class RecordsTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.records = records.Records()
        self.peaks_while_saving = []
        self.save = self.records.watching(
            lambda migration: self.peaks_while_saving.append(self.records.peak)
        )

    def enter(self, uuid, *statuses):
        for status in statuses:
            self.save(
                types.SimpleNamespace(
                    uuid=uuid,
                    instance_uuid=f'instance-{uuid}',
                    status=status,
                    migration_type='live-migration',
                    dest_compute='dest',
                )
            )

    def test_one_after_the_other(self):
        self.enter('a', 'accepted', 'queued', 'preparing', 'running')
        self.enter('b', 'accepted', 'queued')
        self.enter('a', 'completed')
        self.enter('b', 'preparing', 'running', 'completed')
        self.assertEqual(1, self.records.peak)

    def test_overlap_is_seen_before_the_record_is_saved(self):
        self.enter('a', 'preparing', 'running')
        self.enter('b', 'preparing')
        self.assertEqual([1, 1, 2], self.peaks_while_saving)

    def test_each_status_is_told_once(self):
        self.enter('a', 'accepted', 'queued', 'queued', 'preparing')
        told = [record.status for record in self.records.wait(0)]
        self.assertEqual(['queued', 'preparing'], told)
        self.assertEqual([], self.records.wait(0))
