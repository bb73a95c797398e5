# SPDX-License-Identifier: Apache-2.0

"""Makes, changes and deletes gates in Placement.

Each change can be repeated: what is so already stays so. One that ends half
way leaves a gate that limits too little, never one that limits wrongly, and
is completed by the next.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools
from typing import Any
from urllib import parse

from nova_throttle import exception
from nova_throttle.placement import errors
from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import http
from nova_throttle.placement import names
from nova_throttle.placement import store as store_lib

# How often a change is tried that others come before.
ATTEMPTS = 5


class Editor:
    """Changes the gates of a cloud.

    :param store: where they are.
    """

    def __init__(self, store: store_lib.Store) -> None:
        self._store = store
        self._client = store.client

    def find(self, name: str) -> gate_lib.Gate:
        """Return a gate by its name.

        :raises UnknownGate: if there is none.
        """
        for gate in self._store.gates():
            if gate.name == name:
                return gate
        raise exception.UnknownGate(gate=name)

    def create(self, name: str, limit: int, hosts: Iterable[str]) -> None:
        """Make a gate; one that exists gets this limit and these hosts.

        :param limit: its slots; 0 is unlimited.
        :param hosts: patterns of the hosts that it limits.
        :raises ThrottleError: if it can't be made so.
        """
        names.check_gate(name)
        patterns = {
            pattern: names.member_of(name, pattern) for pattern in hosts
        }
        self._client.put(f'/resource_classes/{names.RESOURCE_CLASS}', None)
        self._client.put(f'/traits/{names.TRAIT}', None)
        uuid = self._ensure(names.provider_of(name))
        self.set_limit(gate_lib.Gate(name, uuid), limit)
        self._retry(functools.partial(self._mark, uuid))
        self.set_hosts(self.find(name), patterns)

    def set_limit(self, gate: gate_lib.Gate, limit: int) -> None:
        """Change a limit; present owners finish if it is lowered.

        A gate that is paused stays so.

        :param limit: its slots; 0 is unlimited.
        """
        if not 0 <= limit < gate_lib.UNLIMITED:
            raise exception.InvalidLimit(gate=gate.name, limit=limit)
        total = limit or gate_lib.UNLIMITED
        self._set_inventory(gate, lambda _, paused: (total, paused))

    def pause(self, gate: gate_lib.Gate) -> None:
        """Let a gate give no slot to anybody; present owners finish."""
        self._set_inventory(gate, lambda total, _: (total, True))

    def proceed(self, gate: gate_lib.Gate) -> None:
        """Let a gate that was paused go on."""
        self._set_inventory(gate, lambda total, _: (total, False))

    def set_hosts(self, gate: gate_lib.Gate, hosts: Iterable[str]) -> None:
        """Say which hosts a gate limits.

        :param hosts: patterns.
        """
        wanted = {names.member_of(gate.name, pattern) for pattern in hosts}
        here = {
            provider['name']: provider['uuid']
            for provider in self._in_tree(gate)
            if provider['uuid'] != gate.uuid
        }
        # All of them: one that was made half way has no trait yet.
        for member in sorted(wanted):
            uuid = self._ensure(member, gate.uuid)
            self._retry(functools.partial(self._mark, uuid))
        for member in sorted(here.keys() - wanted):
            self._delete(here[member])

    def delete(self, gate: gate_lib.Gate) -> None:
        """Delete a gate of which nobody has a slot.

        :raises GateInUse: if somebody has.
        """
        owners = self._store.state(gate).owners
        if owners:
            raise errors.GateInUse(gate=gate.name, count=len(owners))
        self.set_hosts(gate, ())
        response = self._delete(gate.uuid)
        if response.status_code == http.CONFLICT:
            raise errors.GateInUse(gate=gate.name, count='some')

    def _in_tree(self, gate: gate_lib.Gate) -> list[dict[str, Any]]:
        found = self._client.get(f'/resource_providers?in_tree={gate.uuid}')
        providers: list[dict[str, Any]] = found['resource_providers']
        return providers

    def _ensure(self, name: str, parent: str | None = None) -> str:
        """Return the UUID of a provider, which is made if it is not there."""
        data = {'name': name}
        if parent:
            data['parent_provider_uuid'] = parent
        response = self._client.post(
            '/resource_providers', data, http.CONFLICT
        )
        if response.status_code != http.CONFLICT:
            return str(response.json()['uuid'])
        for provider in self._named(name):
            if provider['parent_provider_uuid'] == parent:
                return str(provider['uuid'])
        raise errors.PlacementAway(reason=f'{name} was deleted meanwhile')

    def _named(self, name: str) -> list[dict[str, Any]]:
        query = parse.urlencode({'name': name})
        found = self._client.get(f'/resource_providers?{query}')
        providers: list[dict[str, Any]] = found['resource_providers']
        return providers

    def _mark(self, uuid: str) -> bool:
        url = f'/resource_providers/{uuid}/traits'
        traits = self._client.get(url)
        if names.TRAIT in traits['traits']:
            return True
        traits['traits'].append(names.TRAIT)
        response = self._client.put(url, traits, http.CONFLICT)
        return response.status_code != http.CONFLICT

    def _set_inventory(
        self,
        gate: gate_lib.Gate,
        change: Callable[[int, bool], tuple[int, bool]],
    ) -> None:
        """Set how many slots there are, and whether all are kept back.

        :param change: returns both, of what they are now.
        """
        url = (
            f'/resource_providers/{gate.uuid}/inventories/'
            f'{names.RESOURCE_CLASS}'
        )

        def attempt() -> bool:
            now = self._client.get(url, http.NOT_FOUND) or {}
            before = now.get('total', gate_lib.UNLIMITED)
            total, paused = change(before, now.get('reserved', 0) >= before)
            reserved = total if paused else 0
            if (now.get('total'), now.get('reserved')) == (total, reserved):
                return True
            data = {
                'total': total,
                'reserved': reserved,
                'max_unit': 1,
                'resource_provider_generation': self._generation(gate.uuid),
            }
            return self._put_inventory(url, data, is_new=not now)

        self._retry(attempt)

    def _put_inventory(
        self, url: str, data: dict[str, Any], is_new: bool
    ) -> bool:
        if is_new:
            whole = {
                'resource_provider_generation': data.pop(
                    'resource_provider_generation'
                ),
                'inventories': {names.RESOURCE_CLASS: data},
            }
            url, data = url.rpartition('/')[0], whole
        response = self._client.put(url, data, http.CONFLICT)
        return response.status_code != http.CONFLICT

    def _generation(self, uuid: str) -> int:
        body = self._client.get(f'/resource_providers/{uuid}')
        return int(body['generation'])

    def _delete(self, uuid: str) -> http.Response:
        return self._client.delete(
            f'/resource_providers/{uuid}', http.CONFLICT, http.NOT_FOUND
        )

    @staticmethod
    def _retry(attempt: Callable[[], bool]) -> None:
        for _ in range(ATTEMPTS):
            if attempt():
                return
        raise errors.PlacementAway(reason='others change the same gate')
