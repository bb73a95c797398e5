# SPDX-License-Identifier: Apache-2.0

"""What the tests have in common: servers, live migrations, a close watch.

Only the API is used, so that the tests run against any cloud. Limits count
every migration of a host: run them where nobody else migrates.
"""

import collections

from tempest import config
from tempest.lib.common import api_microversion_fixture
from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils
from tempest.lib import exceptions
from tempest import test

CONF = config.CONF
FINAL = ('completed', 'failed', 'error', 'cancelled')
IN_PROGRESS = ('preparing', 'running')
# Servers can be booted on a host, queued migrations aborted, and migrations
# have UUIDs.
MICROVERSION = '2.74'


class LiveMigrationTestCase(test.BaseTestCase):
    """Boots servers on a host and watches them migrate."""

    credentials = ['admin']
    hosts_needed = 2

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        if not CONF.compute_feature_enabled.live_migration:
            raise cls.skipException('live migration is not available')
        if CONF.compute.min_compute_nodes < cls.hosts_needed:
            raise cls.skipException(f'needs {cls.hosts_needed} hosts')

    @classmethod
    def setup_credentials(cls):
        cls.set_network_resources()
        super().setup_credentials()

    @classmethod
    def setup_clients(cls):
        super().setup_clients()
        cls.servers = cls.os_admin.servers_client
        cls.records = cls.os_admin.migrations_client
        cls.services = cls.os_admin.services_client

    def setUp(self):
        super().setUp()
        self.useFixture(
            api_microversion_fixture.APIMicroversionFixture(
                compute_microversion=MICROVERSION
            )
        )
        self.most_out = collections.Counter()
        self.most_in = collections.Counter()
        self.seen = collections.defaultdict(list)
        self.known = {record['id'] for record in self.all_records()}

    def hosts(self):
        """Return the names of the hosts that can be used."""
        found = self.services.list_services(binary='nova-compute')
        names = sorted(
            service['host']
            for service in found['services']
            if (service['status'], service['state']) == ('enabled', 'up')
        )
        if len(names) < self.hosts_needed:
            self.skipTest(f'needs {self.hosts_needed} hosts that are up')
        return names

    def boot(self, count, host):
        """Boot servers on a host.

        :returns: their ids.
        """
        booted = [self._create(host) for _ in range(count)]
        self.wait('active servers', lambda: self._all_active(booted))
        return booted

    def _create(self, host):
        server = self.servers.create_server(
            name=data_utils.rand_name(
                'throttle', prefix=CONF.resource_name_prefix
            ),
            imageRef=CONF.compute.image_ref,
            flavorRef=CONF.compute.flavor_ref,
            networks='none',
            host=host,
        )['server']
        self.addCleanup(self._delete, server['id'])
        return server['id']

    def _delete(self, server):
        self.servers.delete_server(server)
        self.wait('end of a server', lambda: self._is_gone(server))

    def _is_gone(self, server):
        try:
            self.servers.show_server(server)
        except exceptions.NotFound:
            return True
        return False

    def _all_active(self, booted):
        servers = [self.show(server) for server in booted]
        for server in servers:
            self.assertNotEqual('ERROR', server['status'], server['id'])
        return all(server['status'] == 'ACTIVE' for server in servers)

    def show(self, server):
        """Return a server."""
        return self.servers.show_server(server)['server']

    def migrate(self, server, host):
        """Ask for a live migration."""
        self.servers.live_migrate_server(
            server, host=host, block_migration='auto'
        )

    def all_records(self):
        """Return all live migrations of the cloud."""
        found = self.records.list_migrations(migration_type='live-migration')
        return found['migrations']

    def look(self):
        """Look at the live migrations of this test, and count all.

        :returns: their records, by server.
        """
        records = self.all_records()
        active = [r for r in records if r['status'] in IN_PROGRESS]
        self.most_out |= collections.Counter(
            record['source_compute'] for record in active
        )
        self.most_in |= collections.Counter(
            record['dest_compute'] for record in active
        )
        mine = [record for record in records if record['id'] not in self.known]
        for record in mine:
            statuses = self.seen[record['instance_uuid']]
            if record['status'] not in statuses:
                statuses.append(record['status'])
        return {record['instance_uuid']: record for record in mine}

    def wait(self, what, check):
        """Wait until something is true.

        :returns: nothing; the test fails if it does not come true.
        """
        done = test_utils.call_until_true(
            check, CONF.nova_throttle.timeout, CONF.nova_throttle.interval
        )
        self.assertTrue(done, f'{what}: not in time; {dict(self.seen)}')

    def wait_status(self, server, *statuses):
        """Wait until the migration of a server has one of the statuses.

        :returns: its record.
        """
        self.wait(
            f'{server} {" or ".join(statuses)}',
            lambda: (
                self.look().get(server, {}).get('status')
                in (*statuses, *FINAL)
            ),
        )
        return self.look()[server]

    def wait_over(self, servers):
        """Wait until the migrations of all servers are over.

        :returns: their last statuses, by server.
        """

        def over():
            found = self.look()
            return all(
                found.get(server, {}).get('status') in FINAL
                for server in servers
            )

        self.wait('end of all migrations', over)
        found = self.look()
        return {server: found[server]['status'] for server in servers}

    def abort(self, server, record):
        """Abort a live migration."""
        # tempest's clients have no method for it.
        path = f'servers/{server}/migrations/{record["id"]}'
        response, _ = self.servers.delete(path)
        self.assertEqual(202, response.status)

    def assert_on(self, server, host):
        """Assert that a server is at rest on a host."""
        self.wait(
            f'{server} at rest',
            lambda: not self.show(server)['OS-EXT-STS:task_state'],
        )
        found = self.show(server)
        self.assertEqual('ACTIVE', found['status'])
        self.assertEqual(host, found['OS-EXT-SRV-ATTR:host'])

    def event(self, server):
        """Return the source's event of the last live migration."""
        actions = self.servers.list_instance_actions(server)
        action = next(
            action
            for action in actions['instanceActions']
            if action['action'] == 'live-migration'
        )
        shown = self.servers.show_instance_action(
            server, action['request_id']
        )['instanceAction']
        return next(
            event
            for event in shown['events']
            if event['event'] == 'compute_live_migration'
        )
