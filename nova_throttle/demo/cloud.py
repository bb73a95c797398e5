# SPDX-License-Identifier: Apache-2.0

"""A whole Nova in this process, on the fixtures of Nova's own tests.

Its API, conductor, scheduler, placement and nova-compute services are real,
and nova-throttle is on. The message bus is in memory, the databases are
SQLite's; libvirt and the other OpenStack services are stand-ins.
"""

import logging
import pathlib
import sys
import threading
import time
from typing import Any

import fixtures
from nova import context as nova_context
from nova.db.main import api as db_api
from nova.objects import migration as migration_obj
from nova.tests.fixtures import libvirt
from nova.tests.functional.libvirt import base as libvirt_base

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import neutron
from nova_throttle.demo import options as options_lib
from nova_throttle.demo import records
from nova_throttle.demo import report
from nova_throttle.demo import sqlite
from nova_throttle import fixture
from nova_throttle.screen import lines

# Before a fixture replaces it.
TARGET_CELL = nova_context.target_cell

# Bytes of each guest, by the statistics of its migration.
MEMORY = 2 * 2**30

# How often a server is looked at, twice a second, until it is ACTIVE.
BOOT_TRIES = 600


class Cloud(libvirt_base.ServersTestBase):
    """The embedded Nova: a test case of Nova's; its test is what is shown.

    :param options: what the demo was asked to do.
    :param screen: shows what goes on.
    """

    microversion = '2.74'
    ADMIN_API = True
    # A cast does not wait for its handler: that is what we are to show.
    CAST_AS_CALL = False

    def __init__(
        self, options: options_lib.Options, screen: lines.Lines[report.Picture]
    ) -> None:
        super().__init__('runTest')
        # Nova's test case deletes public attributes when it is over.
        self._options = options
        self._screen = screen
        self._sources = [f'source-{n + 1}' for n in range(options.sources)]

    def setUp(self) -> None:
        """Start everything."""
        self.records = records.Records()
        self.in_libvirt = records.InProgress()
        # When libvirt was called to migrate each guest.
        self._began: dict[str, float] = {}
        self._configure()
        self._screen.say('Starting API, conductor, scheduler and placement')
        self.useFixture(sqlite.PatientSqlite())
        self.useFixture(neutron.PortBindings())
        super().setUp()
        self.useFixture(
            fixture.ThrottleFixture(
                max_incoming_live_migrations=self._options.incoming,
                max_outgoing_transfers=self._options.transfers,
                max_incoming_transfers=self._options.transfers,
            )
        )
        self.stub_out(
            'nova.objects.migration.Migration.save',
            self.records.watching(migration_obj.Migration.save),
        )
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.migrateToURI3',
            lambda *args, **kwargs: self._migrate(*args, **kwargs),
        )
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.jobStats',
            lambda *args, **kwargs: self._job_stats(*args, **kwargs),
        )
        self._start_computes()

    def _configure(self) -> None:
        self.flags(max_concurrent_live_migrations=self._options.limit)
        # Nova's test hosts are small; we don't want to run out of anything.
        for name in ('cpu', 'ram', 'disk'):
            self.flags(**{f'initial_{name}_allocation_ratio': 1000.0})
        self.flags(instances=-1, cores=-1, ram=-1, group='quota')
        # Equally good hosts: let the scheduler take any of them.
        self.flags(
            host_subset_size=self._options.destinations,
            group='filter_scheduler',
        )
        # A wheel's configuration files are not where a source tree has them.
        paste = pathlib.Path(sys.prefix, 'etc', 'nova', 'api-paste.ini')
        if paste.exists():
            self.flags(api_paste_config=str(paste), group='wsgi')

    def _setup_services(self) -> None:
        # Nova's test case has taken all handlers away by now.
        handler = logging.StreamHandler(sys.__stderr__)
        handler.setLevel(logging.INFO)
        handler.setFormatter(
            logging.Formatter('%(asctime)s %(levelname)s %(name)s %(message)s')
        )
        self.useFixture(fixtures.LogHandler(handler, nuke_handlers=False))
        self._find_databases_without_locks()
        super()._setup_services()

    def _find_databases_without_locks(self) -> None:
        """Find the database of a cell as Nova does, not as its fixture.

        The fixture points the whole process to one cell at a time. Its lock
        and that of the database sometimes wait for each other.
        """
        only_cell = db_api.create_context_manager(
            self.cell_mappings['cell1'].database_connection
        )

        def get_context_manager(context: Any) -> Any:
            return getattr(context, 'db_connection', None) or only_cell

        self.stub_out('nova.context.target_cell', TARGET_CELL)
        self.stub_out(
            'nova.db.main.api.get_context_manager', get_context_manager
        )

    def _start_computes(self) -> None:
        count = self._options.destinations
        hosts = (*self._sources, *(f'dest-{n + 1}' for n in range(count)))
        self._screen.say(f'Starting nova-compute on {len(hosts)} hosts')
        for host in hosts:
            self.start_compute(hostname=host)

    def _migrate(
        self, guest: Any, uri: str, params: dict[str, Any], flags: int = 0
    ) -> None:
        """Stand in for libvirt's migration call: a guest takes so long."""
        uuid = guest.UUIDString()
        # Behind the scheme of the URI is the destination's name.
        host = uri.partition('://')[2].partition('/')[0]
        self.in_libvirt.enter(uuid, guest._connection.getHostname(), host)
        self._began[uuid] = time.monotonic()
        threading.Event().wait(self._options.seconds)
        there = self.computes[host].driver._host.get_connection()
        there.createXML(params['destination_xml'], 0)
        self.in_libvirt.leave(uuid)
        guest.complete_job()

    def _job_stats(self, guest: Any, flags: int = 0) -> dict[str, int]:
        """Stand in for libvirt's statistics: it sends at an even rate."""
        began = self._began.get(guest.UUIDString())
        if (
            began is None
            or guest._job_type == libvirt.VIR_DOMAIN_JOB_COMPLETED
        ):
            return {'type': guest._job_type}
        passed = (time.monotonic() - began) / max(self._options.seconds, 0.1)
        sent = int(min(passed, 1) * MEMORY)
        return {
            'type': libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
            'memory_total': MEMORY,
            'memory_processed': sent,
            'memory_remaining': MEMORY - sent,
            'memory_iteration': 1,
        }

    # What a drain asks for

    def boot(self) -> None:
        """Boot servers on the sources in turn, all at once."""
        count = self._options.servers
        self._screen.say(f'Booting {count} servers')
        for number in range(count):
            name = f'server-{number + 1:0{len(str(count))}}'
            host = self._sources[number % len(self._sources)]
            body = self._build_server(name=name, host=host, networks='none')
            uuid = self.api.post_server({'server': body})['id']
            self.records.add(records.Server(uuid, name, host))
        for server in self.records.servers:
            self._wait_for_server_parameter(
                {'id': server.uuid}, {'status': 'ACTIVE'}, BOOT_TRIES
            )

    def close_sources(self) -> None:
        """Have nothing scheduled to the sources: they are to be drained."""
        for service in self.api.get_services(binary='nova-compute'):
            if service['host'] in self._sources:
                self.api.put_service(service['id'], {'status': 'disabled'})

    def ask_to_migrate(self, uuid: str) -> None:
        """Ask for a live migration to where the scheduler likes it."""
        body = {'os-migrateLive': {'host': None, 'block_migration': 'auto'}}
        self.api.post_server_action(uuid, body)

    def snapshots(self) -> dict[str, snapshot_lib.Snapshot]:
        """Return what each host's throttle says of itself."""
        return {
            host: compute.manager.throttle.snapshot()
            for host, compute in self.computes.items()
        }
