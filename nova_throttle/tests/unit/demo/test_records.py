# SPDX-License-Identifier: Apache-2.0

"""The count of migration records in progress."""

import time
import types

import testtools

from nova_throttle.admission import snapshot
from nova_throttle.demo import records


OUT = records.Gate(records.SOURCE, 'source')
IN = records.Gate(records.DESTINATION, 'dest')


class RecordsTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.records = records.Records()
        self.peaks_while_saving = []
        self.save = self.records.watching(
            lambda _: self.peaks_while_saving.append(self.peaks[OUT])
        )

    @property
    def peaks(self):
        return self.records.in_progress.peaks

    def enter(self, uuid, *statuses, source='source'):
        self.records.add(records.Server(f'instance-{uuid}', uuid, source))
        for status in statuses:
            self.save(
                types.SimpleNamespace(
                    uuid=uuid,
                    instance_uuid=f'instance-{uuid}',
                    status=status,
                    source_compute=source,
                    dest_compute='dest',
                )
            )

    def test_one_after_the_other(self):
        self.enter('a', 'accepted', 'queued', 'preparing', 'running')
        self.enter('b', 'accepted', 'queued')
        self.enter('a', 'completed')
        self.enter('b', 'preparing', 'running', 'completed')
        self.assertEqual({OUT: 1, IN: 1}, self.peaks)

    def test_each_host_is_counted(self):
        for source in ('source', 'other'):
            self.enter(source, 'preparing', 'running', source=source)
        other = records.Gate(records.SOURCE, 'other')
        self.assertEqual({OUT: 1, other: 1, IN: 2}, self.peaks)

    def test_overlap_is_seen_before_the_record_is_saved(self):
        self.enter('a', 'preparing', 'running')
        self.enter('b', 'preparing')
        self.assertEqual([1, 1, 2], self.peaks_while_saving)

    def test_each_status_is_told_once(self):
        self.enter('a', 'accepted', 'queued', 'queued', 'preparing')
        told = [server.status for server in self.records.wait()]
        self.assertEqual(['queued', 'preparing'], told)
        self.assertEqual([], self.records.wait())

    def test_the_phase_is_finer_than_the_status(self):
        wait = snapshot.Wait(snapshot.WaitReason.GATE_FULL, 'transfer-out', 1)
        for status, waits, left, phase in (
            ('queued', (wait,), False, 'queued'),
            ('preparing', (), False, 'preparing'),
            ('preparing', (wait,), False, 'prepared'),
            ('running', (), False, 'running'),
            ('running', (), True, 'finishing'),
            ('completed', (), True, 'completed'),
        ):
            server = records.Server(
                *('uuid', 'server-1', 'a', 'b', status), waits_for=waits
            )
            self.assertEqual(phase, server.in_phase(left).status)

    def test_what_is_known_of_a_server(self):
        self.enter('a', 'queued', 'preparing')
        (server,) = self.records.servers
        self.assertEqual('dest', server.destination)
        self.assertEqual('preparing', server.status)
        self.assertEqual(['queued', 'preparing'], sorted(server.at)[::-1])


class ServerTestCase(testtools.TestCase):
    def server(self, **at):
        return records.Server('uuid', 'server', 'a', at=at)

    def test_never_queued(self):
        server = self.server(preparing=2.0, completed=5.0)
        self.assertEqual((0.0, 3.0), (server.waited, server.took))

    def test_cancelled_in_the_queue(self):
        server = self.server(queued=2.0, cancelled=5.0)
        self.assertEqual((3.0, 0.0), (server.waited, server.took))

    def test_the_first_time_counts(self):
        server = self.server(queued=1.0, preparing=3.0, failed=4.0, error=9.0)
        self.assertEqual((2.0, 1.0), (server.waited, server.took))

    def test_it_goes_on(self):
        server = self.server(queued=time.monotonic() - 60)
        self.assertGreaterEqual(server.waited, 60)
