# SPDX-License-Identifier: Apache-2.0

"""Aborts, and what the instance action says afterwards."""

from tempest import config
from tempest.lib import decorators

from nova_throttle.tests.tempest import base

CONF = config.CONF


@decorators.serial
class AbortTest(base.LiveMigrationTestCase):
    """One more request than the limit: the last one is queued."""

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        if not CONF.nova_throttle.source_limit:
            raise cls.skipException('source_limit is 0: nothing is queued')

    def setUp(self):
        super().setUp()
        self.source, self.target = self.hosts()[:2]
        self.booted = self.boot(
            CONF.nova_throttle.source_limit + 1, self.source
        )

    def _fill(self):
        """Ask for all.

        :returns: one that is in progress and one that is queued.
        """
        for server in self.booted:
            self.migrate(server, self.target)
        self.wait('a queued one', lambda: self._with('queued'))
        return self._with(*base.IN_PROGRESS), self._with('queued')

    def _with(self, *statuses):
        found = self.look()
        for server in self.booted:
            if found.get(server, {}).get('status') in statuses:
                return server
        return None

    @decorators.attr(type='multinode')
    @decorators.idempotent_id('2e3f8c61-9a3f-4d64-8a3d-55e9f2f9c7a5')
    def test_abort_queued(self):
        _, queued = self._fill()
        self.abort(queued, self.look()[queued])
        ended = self.wait_over(self.booted)
        self.assertEqual('cancelled', ended.pop(queued))
        self.assertEqual({'completed'}, set(ended.values()), ended)
        self.assertNotIn('preparing', self.seen[queued])
        self.assert_on(queued, self.source)
        self.assertEqual('Error', self.event(queued)['result'])

    @decorators.attr(type='multinode')
    @decorators.idempotent_id('8a5f2f0d-1c0b-4a35-9f0d-7d5c6f0e9d42')
    def test_abort_running(self):
        first = self._fill()[0] or self.booted[0]
        record = self.wait_status(first, 'running')
        if record['status'] in base.FINAL:
            self.skipTest('it was over before it could be aborted')
        self.abort(first, record)
        ended = self.wait_over(self.booted)
        self.assertEqual('cancelled', ended.pop(first))
        self.assertEqual({'completed'}, set(ended.values()), ended)
        self.assert_on(first, self.source)
        self.assertEqual('Error', self.event(first)['result'])

    @decorators.attr(type='multinode')
    @decorators.idempotent_id('c4e1f7d9-5a6b-4c8d-b3c1-7e2a9f1d0b6e')
    def test_event_ends_with_the_migration(self):
        _, queued = self._fill()
        event = self.event(queued)
        if self.look()[queued]['status'] == 'queued':
            self.assertIsNone(event['finish_time'])
            self.assertIsNone(event['result'])
        ended = self.wait_over(self.booted)
        self.assertEqual('completed', ended[queued])
        self.wait(
            'the end of the event',
            lambda: self.event(queued)['finish_time'],
        )
        self.assertEqual('Success', self.event(queued)['result'])
