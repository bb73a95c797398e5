# SPDX-License-Identifier: Apache-2.0

"""What can be seen of a host from outside: its metrics, on real services."""

import json
import pathlib
import urllib.request

import fixtures
from nova import version
from oslo_reports import guru_meditation_report
from prometheus_client import parser

from nova_throttle import activation
from nova_throttle.tests.functional import base
from nova_throttle.tests import shell as shell_lib

SAMPLE = (
    pathlib.Path(__file__)
    .parents[3]
    .joinpath('doc', 'source', 'admin', 'live_migration_queued.json')
)


def parse(text):
    """Return the values of a text of metrics, by name and other labels."""
    return {
        (
            sample.name.removeprefix('nova_throttle_'),
            sample.labels.pop('host'),
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


class MetricsTestCase(base.ThrottleTestCase):
    # Each host takes a port of its own.
    options = {'metrics_bind': '127.0.0.1:0'}

    def url(self, host):
        address = self.computes[host].manager._monitoring.address
        return 'http://{}:{}/metrics'.format(*address)

    def scrape(self, host='src'):
        with urllib.request.urlopen(
            self.url(host), timeout=base.PATIENCE
        ) as answer:
            return parse(answer.read().decode())

    def test_a_migration_from_the_queue_to_its_end(self):
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        found = self.scrape()
        self.assertEqual(1, found['gate_limit', 'src', 'source'])
        self.assertEqual(1, found['gate_owners', 'src', 'source'])
        self.assertEqual(1, found['gate_waiting', 'src', 'source'])
        self.assertEqual(
            float('inf'), found['gate_limit', 'src', 'transfer-out']
        )
        self.assertEqual(1, found['queue_length', 'src', 'normal', 'queued'])
        self.assertEqual(1, found['queue_waits', 'src', 'gate full'])
        self.assertEqual(1, found['migrations', 'src', 'transferring'])
        self.assertEqual(1, found['migrations', 'src', 'queued'])
        self.assertEqual(1, found['journal_durable', 'src'])
        incoming = self.scrape('dest')
        self.assertEqual(1, incoming['gate_owners', 'dest', 'destination'])
        self.guests.release(a, b)
        self.wait_status(b, 'completed')
        total = 'finished_migrations_total', 'src', 'completed'
        self.wait_for(lambda: self.scrape()[total] == 2)
        found = self.scrape()
        arrived = self.scrape('dest')
        self.assertEqual(2, arrived['downtime_seconds_count', 'dest'])
        # Without what the clocks of the hosts differ by.
        self.assertEqual(2, arrived['downtime_seconds_bucket', 'dest', '0.1'])
        self.assertEqual(0, found['downtime_seconds_count', 'src'])
        for state in ('queued', 'preparing', 'transferring', 'arrived'):
            name = 'state_duration_seconds_count', 'src', state
            self.assertEqual(2, found[name], state)
            self.assertEqual(0, found['migrations', 'src', state])

    def test_results(self):
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.abort(b)
        self.wait_status(b, 'cancelled')
        self.guests.fail(a)
        self.wait_status(a, 'failed', 'error')
        for server in (a, b):
            total = 'finished_migrations_total', 'src', self.status(server)
            self.wait_for(lambda t=total: self.scrape()[t] == 1)

    def test_a_stopped_host_serves_no_more_and_starts_again(self):
        self.scrape()
        url = self.url('src')
        self.computes['src'].stop()
        self.assertRaises(OSError, urllib.request.urlopen, url)
        self.computes['src'].start()
        self.scrape()


class MetricsOverTheBusTestCase(base.ThrottleTestCase):
    """Nothing listens."""

    def setUp(self):
        super().setUp()
        # Of this process, and connected already.
        self.useFixture(fixtures.MockPatch('nova_throttle.cmd.bus.connect'))

    def test_the_same_without_a_server(self):
        self.assertIsNone(self.src.manager._monitoring.address)
        status, text, err = shell_lib.run('metrics', 'src')
        self.assertEqual((0, ''), (status, err))
        self.assertEqual(1, parse(text)['gate_limit', 'src', 'source'])
        self.assertTrue(text.endswith('\n'))

    def test_without_the_library(self):
        # As if it had not been there at the start.
        self.src.manager._monitoring._collector = None
        status, text, err = shell_lib.run('metrics', 'src')
        self.assertEqual((1, ''), (status, text))
        (line,) = err.splitlines()
        self.assertIn(str(activation.NoMetrics()), line)


class ReportTestCase(base.ThrottleTestCase):
    """Nova's own report of its process has a section of ours."""

    def setUp(self):
        self.useFixture(
            fixtures.MonkeyPatch(
                'oslo_reports.guru_meditation_report.TextGuruMeditation'
                '.persistent_sections',
                [],
            )
        )
        super().setUp()
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        self.running, self.queued = self.migration(a), self.migration(b)

    def report(self):
        """Return our sections of a report, by host."""
        text = guru_meditation_report.TextGuruMeditation(version).run()
        return text[text.index('nova-throttle on src') :].split(
            'nova-throttle on dest'
        )

    def test_gates_queue_states_and_threads(self):
        ours, of_dest = self.report()
        uuid = self.running.uuid
        for text in (
            f'source: 1 slots, 0 offered, 0 of other hosts wait; '
            f'owners: {uuid}\n',
            f'1. {self.queued.uuid} of server {self.queued.instance_uuid} to '
            'dest, priority 0, ',
            'gate full: source (1 of 1 in progress)',
            f'{uuid} transferring\n',
            f'{self.queued.uuid} queued\n',
            'Journal',
            f'  nova-throttle-{uuid}',
        ):
            self.assertIn(text, ours)
        self.assertIn('destination: unlimited, 0 offered', of_dest)

    def test_a_signal_that_interrupts_the_holder_of_the_lock(self):
        for lock in self.throttle._lock, self.throttle.destination._lock:
            with lock:
                ours, _ = self.report()
            self.assertIn('busy at this instant', ours)
            self.assertIn(f'{self.queued.uuid} queued', ours)

    def test_what_fails_in_our_section_spoils_no_report(self):
        self.useFixture(
            fixtures.MockPatchObject(
                self.src.manager._parts.throttle,
                'snapshot',
                side_effect=RuntimeError('broken'),
            )
        )
        ours, _ = self.report()
        self.assertIn('It cannot be told: RuntimeError: broken', ours)


class NotificationsTestCase(base.ThrottleTestCase):
    """On two hosts, of which one has the link of the other to itself."""

    options = {'send_notifications': True, 'max_outgoing_transfers': 1}
    limit = 2

    def setUp(self):
        self.flags(notification_format='versioned', group='notifications')
        super().setUp()

    def told(self, event, count=1):
        """Wait for notifications of an event; return their payloads."""
        found = self.notifier.wait_for_versioned_notifications(
            f'instance.live_migration_{event}', count, base.PATIENCE
        )
        self.assertEqual(
            {'nova-compute:src'}, {f['publisher_id'] for f in found}
        )
        self.assertEqual({'INFO'}, {f['priority'] for f in found})
        return [f['payload'] for f in found]

    def test_queued_admitted_and_waiting_for_the_link(self):
        a, b, c = self.boot(3)
        self.guests.hold(a, b, c)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(b)
        (waits,) = self.told('waiting_for_link')
        self.migrate(c)
        self.told('admitted', 2)
        *_, last = self.told('queued', 3)
        self.assertEqual(b['id'], waits['nova_object.data']['uuid'])
        self.assertEqual('prepared', waits['nova_object.data']['state'])
        record = self.migration(c)
        data = last['nova_object.data']
        expected = json.loads(SAMPLE.read_text())
        self.assertEqual(
            'instance.live_migration_queued', expected['event_type']
        )
        expected = expected['payload']
        expected['nova_object.data'].update(
            uuid=c['id'],
            tenant_id=c['tenant_id'],
            user_id=c['user_id'],
            request_id=self.context_of(c).request_id,
            migration_uuid=record.uuid,
            accepted_at=data['accepted_at'],
        )
        self.assertEqual(expected, last)

    def test_none_in_nova_s_unversioned_format(self):
        self.flags(notification_format='unversioned', group='notifications')
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.assertEqual([], self.ours())

    def ours(self):
        return [
            each['event_type']
            for each in self.notifier.versioned_notifications
            if each['event_type'].rpartition('_')[2] in ('queued', 'admitted')
        ]


class NoNotificationsTestCase(NotificationsTestCase):
    """They are off by default."""

    options: dict = {}

    def test_queued_admitted_and_waiting_for_the_link(self):
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.assertEqual([], self.ours())
