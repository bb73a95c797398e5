# SPDX-License-Identifier: Apache-2.0

"""Limits: never more in progress than allowed, and all complete."""

from tempest import config
from tempest.lib import decorators

from nova_throttle.tests.tempest import base

CONF = config.CONF


@decorators.serial
class SourceLimitTest(base.LiveMigrationTestCase):
    """More requests than the source's limit."""

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        if not CONF.nova_throttle.source_limit:
            raise cls.skipException('source_limit is 0: unlimited')

    @decorators.attr(type='multinode')
    @decorators.idempotent_id('f2a9b0c8-3f5e-4a53-9d86-5f0c0b6f6a11')
    def test_more_requests_than_the_limit(self):
        limit = CONF.nova_throttle.source_limit
        source, target = self.hosts()[:2]
        servers = self.boot(limit + 3, source)
        for server in servers:
            self.migrate(server, target)
        ended = self.wait_over(servers)
        self.assertEqual({'completed'}, set(ended.values()), ended)
        self.assertLessEqual(self.most_out[source], limit)
        queued = [s for s in servers if 'queued' in self.seen[s]]
        self.assertNotEqual([], queued, dict(self.seen))
        for server in servers:
            self.assert_on(server, target)


@decorators.serial
class DestinationLimitTest(base.LiveMigrationTestCase):
    """Two sources and more requests than the destination's limit."""

    hosts_needed = 3

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        if not CONF.nova_throttle.destination_limit:
            raise cls.skipException('destination_limit is 0: unlimited')

    @decorators.attr(type='multinode')
    @decorators.idempotent_id('0b8a4c1e-62d8-4a0e-9b4e-0cf7c3c59b0d')
    def test_two_sources(self):
        limit = CONF.nova_throttle.destination_limit
        *sources, target = self.hosts()[:3]
        servers = [
            server
            for source in sources
            for server in self.boot(limit + 1, source)
        ]
        for server in servers:
            self.migrate(server, target)
        ended = self.wait_over(servers)
        self.assertEqual({'completed'}, set(ended.values()), ended)
        self.assertLessEqual(self.most_in[target], limit)
        for server in servers:
            self.assert_on(server, target)


@decorators.serial
class UnlimitedTest(base.LiveMigrationTestCase):
    """Zero is unlimited."""

    COUNT = 6  # more than plain Nova runs on native threads

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        limits = CONF.nova_throttle
        if limits.source_limit or limits.destination_limit:
            raise cls.skipException('not both limits are 0')

    @decorators.attr(type='multinode')
    @decorators.idempotent_id('6d3a4f1b-6b1c-4a3e-8f4d-2a1de0f6c3b7')
    def test_none_waits(self):
        source, target = self.hosts()[:2]
        servers = self.boot(self.COUNT, source)
        for server in servers:
            self.migrate(server, target)
        # All have left the queue before the first one is over.
        self.wait('all in progress', lambda: self._have_started(servers))
        ended = self.wait_over(servers)
        self.assertGreater(self.most_out[source], 1)
        for server in servers:
            # Without a limit, a narrow link may let some of them fail.
            completed = ended[server] == 'completed'
            self.assert_on(server, target if completed else source)

    def _have_started(self, servers):
        found = self.look()
        statuses = [found.get(s, {}).get('status') for s in servers]
        return all(
            status in (*base.IN_PROGRESS, *base.FINAL) for status in statuses
        )
