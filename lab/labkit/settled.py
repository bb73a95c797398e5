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

"""The check of R10 and R11: is anything left of what is over?

It looks at everything that can hold something for a live migration: servers,
records, allocations, port bindings, libvirt's domains, disks, instance
actions, our journal and our gates.
"""

from collections.abc import Iterator
import json
import pathlib
import sqlite3
from typing import Any

from labkit.cloud import Cloud
from labkit.cloud import FINAL
from labkit.cloud import Migration
from labkit.cloud import Server
from labkit import computes
from labkit.plan import Plan


def problems(plan: Plan, cloud: Cloud, after: int = 0) -> list[str]:
    """Return what is wrong, in words; nothing is what should be.

    :param after: only migrations with higher ids are looked at.
    """
    servers = cloud.servers()
    migrations = cloud.migrations(after)
    found = [
        *_of_servers(servers),
        *_of_migrations(cloud, migrations),
        *_of_allocations(cloud, servers),
        *_of_bindings(cloud, servers),
        *_of_domains(plan, servers),
        *_of_disks(plan, servers),
        *_of_events(cloud, servers, migrations),
        *_of_actions(cloud, servers),
        *_of_journals(plan),
    ]
    # To ask each host takes seconds; it is of use only if all else is well.
    return found or list(_of_gates(plan))


def _of_servers(servers: list[Server]) -> Iterator[str]:
    for server in servers:
        if server.status != 'ACTIVE':
            yield f'server {server.name} is {server.status}'
        elif server.task_state:
            yield f'server {server.name} has task {server.task_state}'


def _of_migrations(cloud: Cloud, migrations: list[Migration]) -> Iterator[str]:
    for migration in migrations:
        if migration.status not in FINAL:
            yield f'migration {migration.id} is {migration.status}'
        if cloud.allocated_on(migration.uuid):
            yield f'migration {migration.id} has an allocation'


def _of_allocations(cloud: Cloud, servers: list[Server]) -> Iterator[str]:
    names = cloud.providers()
    for server in servers:
        found = [names[p] for p in cloud.allocated_on(server.id)]
        if found != [server.host]:
            where = ' and '.join(found) or 'nothing'
            yield (
                f'server {server.name} on {server.host} '
                f'has allocations of {where}'
            )


def _of_bindings(cloud: Cloud, servers: list[Server]) -> Iterator[str]:
    for server in servers:
        for bindings in cloud.bindings(server):
            if bindings != [(server.host, 'ACTIVE')]:
                found = ', '.join(' '.join(pair) for pair in bindings)
                yield (
                    f'a port of {server.name} on {server.host} '
                    f'is bound to: {found}'
                )


def _of_domains(plan: Plan, servers: list[Server]) -> Iterator[str]:
    by_domain = {server.domain: server for server in servers}
    seen = set()
    for host in plan.compute_hosts:
        for domain, state in computes.domains(plan, host).items():
            server = by_domain.get(domain)
            name = server.name if server else domain
            if not server or server.host != host:
                yield f'{host} has a domain of {name}, {state}'
            elif state != 'running':
                yield f'the domain of {name} on {host} is {state}'
            seen.add((domain, host))
    for server in servers:
        if (server.domain, server.host) not in seen:
            yield f'{server.host} has no domain of {server.name}'


def _of_disks(plan: Plan, servers: list[Server]) -> Iterator[str]:
    for server in servers:
        if (plan.shared_instances / server.id).exists():
            continue
        for host in plan.compute_hosts:
            path = plan.host_dir(host) / f'nova/instances/{server.id}'
            if path.exists() and host != server.host:
                yield f'{host} has a directory of {server.name}'
            elif host == server.host and not path.exists():
                yield f'{host} has no directory of {server.name}'


def _of_events(
    cloud: Cloud, servers: list[Server], migrations: list[Migration]
) -> Iterator[str]:
    """Compare the event of each server's last migration with the record."""
    last = {migration.server: migration for migration in migrations}
    for server in servers:
        migration = last.get(server.id)
        if not migration or migration.status not in FINAL:
            continue
        event = cloud.migration_event(server.id)
        if not event and migration.status == 'error':
            continue  # it failed before it came to its source
        result = event.get('result')
        wanted = 'Success' if migration.status == 'completed' else 'Error'
        if result != wanted:
            yield (
                f'the event of {server.name} says {result}, '
                f'its migration is {migration.status}'
            )


def _of_actions(cloud: Cloud, servers: list[Server]) -> Iterator[str]:
    """Look for what began for a live migration and has no end.

    Nova ends an event by its name: of two, as when a second destination was
    checked, it never ends but one.
    """
    for server in servers:
        for action in cloud.actions(server.id):
            if not action.name.startswith('live'):
                continue
            events = cloud.events(server.id, action)
            ended = {e['event'] for e in events if e.get('finish_time')}
            for event in events:
                if event['event'] not in ended:
                    yield (
                        f'{event["event"]} of {server.name} has no end '
                        f'({action.request})'
                    )


def _of_gates(plan: Plan) -> Iterator[str]:
    """Ask each host as its operator does: who is in progress, who waits?"""
    for host in plan.compute_hosts:
        if not computes.throttled(plan, host):
            continue
        for gate in _list(plan, 'gate', host):
            for state in ('Owners', 'Offered', 'Waiting'):
                if gate[state]:
                    yield (
                        f'the gate {gate["Gate"]} of {host} has '
                        f'{state.lower()}: {gate[state]}'
                    )
        for entry in _list(plan, 'queue', host):
            yield f'{entry["Migration"]} is queued on {host}'


def _list(plan: Plan, noun: str, host: str) -> list[dict[str, Any]]:
    words = (noun, 'list', host, '-f', 'json')
    found: list[dict[str, Any]] = json.loads(
        computes.throttle(plan, host, *words)
    )
    return found


def _of_journals(plan: Plan) -> Iterator[str]:
    for host in plan.compute_hosts:
        path = plan.host_dir(host) / f'nova/nova-throttle/{host}.sqlite'
        if computes.throttled(plan, host) and path.exists():
            count = _entries(path)
            if count:
                yield f'the journal of {host} has {count} entries'


def _entries(path: pathlib.Path) -> int:
    database = sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=30)
    try:
        return int(
            database.execute('SELECT COUNT(*) FROM entries').fetchone()[0]
        )
    finally:
        database.close()
