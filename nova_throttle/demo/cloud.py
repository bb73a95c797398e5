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

"""A whole Nova in this process, on the fixtures of Nova's own tests.

Its API, conductor, scheduler, placement and nova-compute services are real,
and nova-throttle is on. The message bus is in memory, the databases are
SQLite's; libvirt and the other OpenStack services are stand-ins.
"""

from collections.abc import Callable
import functools
import itertools
import logging
import operator
import pathlib
import sys
import threading
import time
from typing import Any
import unittest

import fixtures
from nova import context as nova_context
from nova.db.main import api as db_api
from nova.objects import migration as migration_obj
from nova.tests.functional.libvirt import base as libvirt_base

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import guests
from nova_throttle.demo import records
from nova_throttle.demo import report
from nova_throttle.demo import sqlite
from nova_throttle import fixture

# Before a fixture replaces it.
TARGET_CELL = nova_context.target_cell

# Nova's test hosts are small; we don't want to run out of anything.
RATIO = 1000.0

# Seconds until a server that is not ACTIVE is a failure, and between looks.
BOOT_PATIENCE = 300.0
BOOT_TICK = 0.2


class CloudError(Exception):
    """Why the embedded Nova does not work, in one line."""


class Cloud(libvirt_base.ServersTestBase):
    """The embedded Nova: a test case of Nova's, with a play as its test.

    :param options: what the demo was asked to do.
    :param play: called with the cloud when it is up; it is taken down when
        that returns.
    :param tell: is told of each step.
    """

    microversion = '2.74'
    ADMIN_API = True
    # A cast does not wait for its handler: that is what we are to show.
    CAST_AS_CALL = False

    def __init__(
        self,
        options: report.Options,
        play: Callable[['Cloud'], None],
        tell: Callable[[report.Message], None],
    ) -> None:
        super().__init__('runTest')
        # Nova's test case deletes public attributes when it is over.
        self._options = options
        self._play = play
        self._tell = tell
        self._sources = _names('source', options.sources)
        self._destinations = _names('dest', options.destinations)

    def setUp(self) -> None:
        """Start everything."""
        self._configure()
        self._tell(
            report.Step('Starting the API, conductor, scheduler and placement')
        )
        self.useFixture(sqlite.PatientSqlite())
        super().setUp()
        self.useFixture(
            fixture.ThrottleFixture(
                max_incoming_live_migrations=self._options.incoming
            )
        )
        self.records = records.Records()
        self.guests = guests.Guests(self._connection, self._options.seconds)
        self._watch()
        self._start_computes()

    def runTest(self) -> None:
        """Play."""
        self._play(self)
        self._tell(report.Step('Stopping Nova'))

    def _configure(self) -> None:
        self.flags(max_concurrent_live_migrations=self._options.limit)
        for name in ('cpu', 'ram', 'disk'):
            self.flags(**{f'initial_{name}_allocation_ratio': RATIO})
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

        The fixture points the whole process to one cell at a time, under a
        lock, and on native threads that lock and the one of the database
        sometimes wait for each other. Here it is simple: what is not for a
        certain cell is for the only one.
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

    def _watch(self) -> None:
        migration = migration_obj.Migration
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.objects.migration.Migration.save',
                self.records.watching(migration.save),
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.migrateToURI3',
                lambda domain, *args, **kwargs: self.guests.migrate(
                    domain, *args, **kwargs
                ),
            )
        )

    def _start_computes(self) -> None:
        hosts = (*self._sources, *self._destinations)
        text = f'Starting nova-compute on {len(hosts)} hosts'
        for count, host in enumerate(hosts):
            self._tell(report.Step(text, count, len(hosts)))
            self.start_compute(hostname=host)
        self.handler_seconds: list[float] = []
        for host in self._sources:
            self._time_handler(self.computes[host].manager)

    def _time_handler(self, manager: Any) -> None:
        """Measure how long the RPC handler keeps its worker."""
        handler = manager.live_migration
        seconds = self.handler_seconds

        @functools.wraps(handler)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return handler(*args, **kwargs)
            finally:
                seconds.append(time.perf_counter() - began)

        manager.live_migration = timed

    def _connection(self, host: str) -> Any:
        return self.computes[host].driver._host.get_connection()

    # What a play asks for

    def boot(self, count: int) -> dict[str, tuple[str, str]]:
        """Boot servers on the sources in turn, all at once.

        :returns: the name and the source of each, by its UUID.
        :raises CloudError: if one does not become ACTIVE.
        """
        width = len(str(count))
        self._tell(report.Step(self._booting(count), 0, count))
        hosts = itertools.cycle(self._sources)
        for number, host in zip(range(1, count + 1), hosts, strict=False):
            self._ask_to_boot(host, f'server-{number:0{width}}')
        self._wait_active(count)
        return {
            server['id']: (server['name'], server['OS-EXT-SRV-ATTR:host'])
            for server in sorted(
                self.api.get_servers(), key=operator.itemgetter('name')
            )
        }

    def _ask_to_boot(self, host: str, name: str) -> None:
        body = self._build_server(name=name, host=host, networks='none')
        self.api.post_server({'server': body})

    def _wait_active(self, count: int) -> None:
        deadline = time.monotonic() + BOOT_PATIENCE
        tick = threading.Event()
        while time.monotonic() < deadline:
            states = [server['status'] for server in self.api.get_servers()]
            if 'ERROR' in states:
                raise CloudError('a server did not boot')
            active = states.count('ACTIVE')
            self._tell(report.Step(self._booting(count), active, count))
            if active == count:
                return
            tick.wait(BOOT_TICK)
        raise CloudError(f'no {count} servers in {BOOT_PATIENCE:.0f} s')

    def _booting(self, count: int) -> str:
        return f'Booting {count} servers on {", ".join(self._sources)}'

    def close_sources(self) -> None:
        """Have nothing scheduled to the sources: they are to be drained."""
        for host in self._sources:
            (service,) = self.api.get_services(
                host=host, binary='nova-compute'
            )
            self.api.put_service(
                service['id'],
                {'status': 'disabled', 'disabled_reason': 'maintenance'},
            )

    def ask_to_migrate(self, uuid: str) -> None:
        """Ask for a live migration to where the scheduler likes it."""
        body = {'os-migrateLive': {'host': None, 'block_migration': 'auto'}}
        self.api.post_server_action(uuid, body)

    def snapshots(self) -> dict[str, snapshot_lib.Snapshot]:
        """Return what each host's throttle says of itself."""
        return {
            host: self.computes[host].manager.throttle.snapshot()
            for host in (*self._sources, *self._destinations)
        }

    def hosts_of_active(self) -> dict[str, str]:
        """Return the host of each server that is ACTIVE and at rest."""
        return {
            server['id']: server['OS-EXT-SRV-ATTR:host']
            for server in self.api.get_servers()
            if server['status'] == 'ACTIVE'
            and server['OS-EXT-STS:task_state'] is None
        }


def _names(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f'{kind}-{number}' for number in range(1, count + 1))


def run(
    options: report.Options,
    play: Callable[[Cloud], None],
    tell: Callable[[report.Message], None],
) -> None:
    """Run a play in an embedded Nova.

    :raises CloudError: if something went wrong; the log has it all.
    """
    result = unittest.TestResult()
    Cloud(options, play, tell).run(result)
    problems = [text for _, text in (*result.errors, *result.failures)]
    if problems:
        print(*problems, sep='\n', file=sys.__stderr__, flush=True)
        raise CloudError(problems[0].strip().splitlines()[-1])
