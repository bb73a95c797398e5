# SPDX-License-Identifier: Apache-2.0

"""What a drain needs of Nova's API: translates, decides nothing."""

from collections.abc import Iterable
from collections.abc import Iterator
import datetime
from typing import Any

from nova_throttle.drain import api as api_lib
from nova_throttle.drain import errors
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history


class Cloud:
    """What Nova says of hosts and servers, and can be asked to do.

    :param api: what requests are sent with.
    """

    def __init__(self, api: api_lib.Api) -> None:
        self._api = api
        # Servers that have left: they do not change their size.
        self._moved: dict[str, facts_lib.Server] = {}

    def services(self) -> list[facts_lib.Service]:
        """Return the nova-compute of every host."""
        answer = self._api.get('/os-services', binary='nova-compute')
        return [_service(each) for each in answer['services']]

    def service(self, host: str) -> facts_lib.Service:
        """Return the nova-compute of a host.

        :raises NoComputeService: if there is none.
        """
        return _find(self.services(), host)

    def facts(self, host: str, transfers: bool = False) -> facts_lib.Facts:
        """Return what is true of a host.

        :param transfers: whether to ask what is on the wire how far it is.
        """
        services = self.services()
        service = _find(services, host)
        # Before the servers: one that is at rest then has no newer migration.
        migrations = tuple(self.migrations(host))
        return facts_lib.Facts(
            service=service,
            servers=tuple(self.servers(host)),
            migrations=migrations,
            unconfirmed=tuple(self._unconfirmed(migrations)),
            moved=tuple(self._who_moved(migrations)),
            others=_others(services, service),
            transfers=self._transfers(migrations) if transfers else {},
            at=datetime.datetime.now(datetime.timezone.utc),
        )

    def servers(self, host: str) -> Iterator[facts_lib.Server]:
        """Return the servers of all projects on a host."""
        path, query = '/servers/detail', {'host': host, 'all_tenants': 'True'}
        for item in self._api.pages(path, 'servers', query):
            server = _server(item)
            if server.host == host:
                yield server

    def migrations(self, host: str) -> list[facts_lib.Migration]:
        """Return the migrations out of a host, the oldest first."""
        items = self._api.pages('/os-migrations', 'migrations', {'host': host})
        found = [_migration(item) for item in items]
        return sorted(
            (each for each in found if each.source == host),
            key=lambda each: each.id,
        )

    def server(self, uuid: str) -> facts_lib.Server | None:
        """Return a server; None if there is none any more."""
        try:
            return _server(self._api.get(f'/servers/{uuid}')['server'])
        except errors.CloudRefused:
            return None

    def actions(self, uuid: str) -> list[dict[str, Any]]:
        """Return what was done with a server, with its events."""
        path = f'/servers/{uuid}/os-instance-actions'
        return [
            self._api.get(f'{path}/{each["request_id"]}')['instanceAction']
            for each in self._api.get(path)['instanceActions']
            if each['action'] in ('live-migration', 'migrate')
        ]

    def close(self, service: facts_lib.Service, reason: str) -> None:
        """Have nothing scheduled to a host any more."""
        body = {'status': 'disabled', 'disabled_reason': reason}
        self._api.send('PUT', f'/os-services/{service.id}', body)

    def open(self, service: facts_lib.Service) -> None:
        """Have servers scheduled to a host again."""
        body = {'status': 'enabled'}
        self._api.send('PUT', f'/os-services/{service.id}', body)

    def migrate_live(self, uuid: str, target: str | None) -> None:
        """Ask for a live migration.

        :param target: the destination; None lets Nova choose.
        :raises CloudRefused: if Nova refuses.
        """
        body = {'host': target, 'block_migration': 'auto'}
        self._act(uuid, {'os-migrateLive': body})

    def migrate_cold(self, uuid: str, target: str | None) -> None:
        """Ask for a cold migration; the same."""
        self._act(uuid, {'migrate': {'host': target} if target else None})

    def confirm(self, uuid: str) -> None:
        """Confirm a cold migration."""
        self._act(uuid, {'confirmResize': None})

    def force_complete(self, migration: facts_lib.Migration) -> None:
        """Have a guest on the wire paused, so that it arrives."""
        path = f'/servers/{migration.server}/migrations/{migration.id}'
        self._api.send('POST', f'{path}/action', {'force_complete': None})

    def abort(self, migration: facts_lib.Migration) -> None:
        """Abort a live migration, wherever it is."""
        path = f'/servers/{migration.server}/migrations/{migration.id}'
        self._api.send('DELETE', path)

    def _unconfirmed(
        self, migrations: tuple[facts_lib.Migration, ...]
    ) -> Iterator[facts_lib.Server]:
        uuids = [
            each.server
            for each in migrations
            if each.status == facts_lib.UNCONFIRMED
        ]
        for uuid in dict.fromkeys(uuids):
            server = self.server(uuid)
            if server and server.status == 'VERIFY_RESIZE':
                yield server

    def _who_moved(
        self, migrations: tuple[facts_lib.Migration, ...]
    ) -> Iterator[facts_lib.Server]:
        for each in history.last(migrations):
            if each.status not in facts_lib.COMPLETED:
                continue
            if each.server not in self._moved:
                server = self.server(each.server)
                if server is None:
                    continue
                self._moved[each.server] = server
            yield self._moved[each.server]

    def _transfers(
        self, migrations: tuple[facts_lib.Migration, ...]
    ) -> dict[int, facts_lib.Transfer]:
        found = {}
        for each in migrations:
            if each.kind != facts_lib.LIVE or each.status != 'running':
                continue
            try:
                items = self._api.get(f'/servers/{each.server}/migrations')
            except errors.CloudRefused:
                continue
            for item in items['migrations']:
                found[item['id']] = facts_lib.Transfer(
                    item['memory_total_bytes'] or 0,
                    item['memory_remaining_bytes'] or 0,
                )
        return found

    def _act(self, uuid: str, body: dict[str, Any]) -> None:
        self._api.send('POST', f'/servers/{uuid}/action', body)


def _find(
    services: Iterable[facts_lib.Service], host: str
) -> facts_lib.Service:
    for each in services:
        if each.host == host:
            return each
    raise errors.NoComputeService(host=host)


def _others(
    services: Iterable[facts_lib.Service], left: facts_lib.Service
) -> tuple[str, ...]:
    return tuple(
        each.host
        for each in services
        if each.enabled
        and each.up
        and each.zone == left.zone
        and each.host != left.host
    )


def _service(item: dict[str, Any]) -> facts_lib.Service:
    return facts_lib.Service(
        id=item['id'],
        host=item['host'],
        zone=item['zone'],
        enabled=item['status'] == 'enabled',
        up=item['state'] == 'up',
        reason=item['disabled_reason'] or '',
    )


def _server(item: dict[str, Any]) -> facts_lib.Server:
    return facts_lib.Server(
        uuid=item['id'],
        name=item['name'],
        host=item['OS-EXT-SRV-ATTR:host'] or '',
        status=item['status'],
        task=item['OS-EXT-STS:task_state'] or '',
        lock=(item['locked_reason'] or '') if item['locked'] else None,
        tags=frozenset(item['tags']),
        memory=item['flavor']['ram'],
        created=item['created'],
    )


def _migration(item: dict[str, Any]) -> facts_lib.Migration:
    return facts_lib.Migration(
        id=item['id'],
        uuid=item['uuid'],
        server=item['instance_uuid'],
        kind=item['migration_type'],
        source=item['source_compute'] or '',
        destination=item['dest_compute'] or '',
        status=item['status'] or '',
        created=time(item['created_at']),
        updated=time(item['updated_at'] or item['created_at']),
    )


def time(text: str) -> datetime.datetime:
    """Read a time of Nova's."""
    plain = text.removesuffix('Z').partition('+')[0]
    found = datetime.datetime.fromisoformat(plain)
    return found.replace(tzinfo=datetime.timezone.utc)
