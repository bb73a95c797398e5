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

"""The cloud through its APIs, as an administrator and nothing more.

Plain HTTP of the standard library; a refused or failed request is an
``ApiError``. Reads are repeated while a service restarts.
"""

import ctypes
import dataclasses
import json
import os
import time
from typing import Any
import urllib.error
import urllib.request

from labkit import config
from labkit import hosts
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import shell

CLONE_NEWNET = 0x40000000
RAW = {'Content-Type': 'application/octet-stream'}
FINAL = ('completed', 'failed', 'error', 'cancelled')
VERSIONS = {
    'nova': ('OpenStack-API-Version', 'compute 2.100'),
    'placement': ('OpenStack-API-Version', 'placement 1.39'),
}
ROOTS = {
    'glance': '/v2',
    'keystone': '/v3',
    'neutron': '/v2.0',
    'nova': '/v2.1',
    'placement': '',
}


class ApiError(Exception):
    """An API said no; ``status`` is 0 if it said nothing."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f'{status}: {text}')
        self.status = status


@dataclasses.dataclass(frozen=True)
class Server:
    """A server, as its administrator sees it."""

    id: str
    name: str
    host: str
    status: str
    task_state: str | None
    domain: str
    fault: str


@dataclasses.dataclass(frozen=True)
class Migration:
    """A record of a live migration."""

    id: int
    uuid: str
    server: str
    source: str
    destination: str
    status: str
    updated: str
    created: str = ''


@dataclasses.dataclass(frozen=True)
class Action:
    """What was asked of a server."""

    name: str
    request: str
    begin: str


class Cloud:
    """The administrator's client.

    Making one moves this process into the control host's network.

    :param tries: how often to read from a service that does not answer.
    :param timeout: seconds to wait for an answer.
    """

    def __init__(
        self, plan: Plan, tries: int = 20, timeout: float = 120
    ) -> None:
        self._plan = plan
        self._tries = tries
        self._timeout = timeout
        self._token = ''
        pid = hosts.holder(plan, CONTROL)
        if not pid:
            raise shell.LabError('the lab is not up: lab up')
        enter_network(pid)

    def get(self, service: str, path: str) -> Any:
        """Read; tried again while the service does not answer."""
        for _ in range(self._tries):
            try:
                return self.ask(service, 'GET', path)
            except ApiError as error:
                if 0 < error.status < 500:
                    raise
                last = error
                time.sleep(1.5)
        raise last

    def ask(
        self,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request and return the answer's JSON.

        :raises ApiError: it was refused, or nobody answered.
        """
        if not self._token:
            self._log_in()
        try:
            return self._send(service, method, path, body, headers)[1]
        except ApiError as error:
            if error.status != 401:
                raise
        self._log_in()
        return self._send(service, method, path, body, headers)[1]

    def _send(
        self,
        service: str,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str] | None,
    ) -> tuple[Any, Any]:
        address = config.url(self._plan, service) + ROOTS[service] + path
        name, version = VERSIONS.get(service, ('Accept', 'application/json'))
        raw = isinstance(body, bytes)
        request = urllib.request.Request(
            address,
            data=body if raw else _encode(body),
            method=method,
            headers={
                'X-Auth-Token': self._token,
                'Content-Type': 'application/json',
                name: version,
                **(headers or {}),
            },
        )
        return _open(request, self._timeout)

    def _log_in(self) -> None:
        identity = {
            'methods': ['password'],
            'password': {
                'user': {
                    'name': 'admin',
                    'domain': {'id': 'default'},
                    'password': self._plan.password,
                }
            },
        }
        scope = {'project': {'name': 'admin', 'domain': {'id': 'default'}}}
        body = {'auth': {'identity': identity, 'scope': scope}}
        self._token = ''
        headers, _ = self._send('keystone', 'POST', '/auth/tokens', body, None)
        self._token = headers['X-Subject-Token']

    def servers(self) -> list[Server]:
        """Return all servers, by name."""
        found = self.get('nova', '/servers/detail?all_tenants=1')['servers']
        return sorted((_server(item) for item in found), key=_by_name)

    def server(self, server_id: str) -> Server:
        """Return one server."""
        return _server(self.get('nova', f'/servers/{server_id}')['server'])

    def migrations(self, after: int = 0) -> list[Migration]:
        """Return the live migrations of a higher id, in order."""
        found = self.get(
            'nova', '/os-migrations?migration_type=live-migration'
        )
        return sorted(
            (_migration(m) for m in found['migrations'] if m['id'] > after),
            key=lambda migration: migration.id,
        )

    def last_migration(self) -> int:
        """Return the highest id of a migration so far."""
        return max((m.id for m in self.migrations()), default=0)

    def migrate(self, server: Server, destination: str | None) -> None:
        """Ask for a live migration."""
        self.act(
            server,
            'os-migrateLive',
            {'host': destination, 'block_migration': 'auto'},
        )

    def act(self, server: Server, action: str, arguments: Any) -> None:
        """Do an action on a server."""
        path = f'/servers/{server.id}/action'
        self.ask('nova', 'POST', path, {action: arguments})

    def abort(self, migration: Migration) -> None:
        """Abort a live migration."""
        path = f'/servers/{migration.server}/migrations/{migration.id}'
        self.ask('nova', 'DELETE', path)

    def services(self) -> dict[str, dict[str, Any]]:
        """Return the compute services, by host."""
        found = self.get('nova', '/os-services?binary=nova-compute')
        return {service['host']: service for service in found['services']}

    def providers(self) -> dict[str, str]:
        """Return the names of the resource providers, by UUID."""
        found = self.get('placement', '/resource_providers')
        return {p['uuid']: p['name'] for p in found['resource_providers']}

    def allocated_on(self, consumer: str) -> list[str]:
        """Return the UUIDs of the providers that a consumer has."""
        found = self.get('placement', f'/allocations/{consumer}')
        return sorted(found['allocations'])

    def bindings(self, server: Server) -> list[list[tuple[str, str]]]:
        """Return host and status of the bindings of each of its ports."""
        ports = self.get('neutron', f'/ports?device_id={server.id}')['ports']
        return [
            sorted(
                (binding['host'], binding['status'])
                for binding in self.get(
                    'neutron', f'/ports/{port["id"]}/bindings'
                )['bindings']
            )
            for port in ports
        ]

    def migration_event(self, server: str) -> dict[str, Any]:
        """Return the event of the source in the last live migration.

        A request that did not come to the conductor made none.
        """
        for action in reversed(self.actions(server)):
            events = {e['event']: e for e in self.events(server, action)}
            if 'conductor_live_migrate_instance' in events:
                return events.get('compute_live_migration', {})
        return {}

    def actions(self, server: str) -> list[Action]:
        """Return what was asked of a server, the oldest first."""
        path = f'/servers/{server}/os-instance-actions'
        found = self.get('nova', path)['instanceActions']
        return [
            Action(a['action'], a['request_id'], a['start_time'])
            for a in reversed(found)
        ]

    def events(self, server: str, action: Action) -> list[dict[str, Any]]:
        """Return what was done for an action."""
        path = f'/servers/{server}/os-instance-actions/{action.request}'
        found = self.get('nova', path)['instanceAction']['events']
        return list(found)


def enter_network(pid: int) -> None:
    """Move this thread into the network of another process."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f'/proc/{pid}/ns/net') as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            raise shell.LabError(f'no right to enter a network: {reason}')


def _encode(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _open(request: urllib.request.Request, timeout: float) -> tuple[Any, Any]:
    # No proxy of the machine's leads into the lab.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            text = answer.read()
            return answer.headers, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors='replace')[:300]
        raise ApiError(error.code, text) from error
    except (OSError, ValueError) as error:
        raise ApiError(0, str(error)) from error


def _by_name(server: Server) -> tuple[int, str]:
    return len(server.name), server.name


def _server(item: dict[str, Any]) -> Server:
    return Server(
        id=item['id'],
        name=item['name'],
        host=item.get('OS-EXT-SRV-ATTR:host') or '',
        status=item['status'],
        task_state=item.get('OS-EXT-STS:task_state'),
        domain=item.get('OS-EXT-SRV-ATTR:instance_name') or '',
        fault=(item.get('fault') or {}).get('message', ''),
    )


def _migration(item: dict[str, Any]) -> Migration:
    return Migration(
        id=item['id'],
        uuid=item['uuid'],
        server=item['instance_uuid'],
        source=item['source_compute'],
        destination=item['dest_compute'] or '',
        status=item['status'],
        updated=item['updated_at'] or '',
        created=item['created_at'] or '',
    )
