# SPDX-License-Identifier: Apache-2.0

"""Slots of gates, taken and given back in Placement.

A migration gets a slot of all its gates in one step or of none. Each call can
be repeated: what has a slot keeps it, and what has none stays without.
"""

from collections.abc import Sequence
from typing import Any
from urllib import parse

from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import http
from nova_throttle.placement import names

_ALL_OF_OURS = f'/resource_providers?required={names.TRAIT}'
# Its answer where no gate was ever made, and so the trait is not known.
_NO_TRAIT = 400

Gate = gate_lib.Gate


class Store:
    """The gates of a cloud.

    :param session: Placement, with the credentials of the service.
    """

    def __init__(self, session: http.Session) -> None:
        self.client = http.Client(session)

    def gates(self) -> tuple[Gate, ...]:
        """Return all gates, by name.

        :raises PlacementAway: if it does not answer.
        """
        body = self.client.get(_ALL_OF_OURS, _NO_TRAIT) or {}
        found: dict[str, str] = {}
        hosts: dict[str, list[str]] = {}
        for provider in body.get('resource_providers', ()):
            name, pattern = names.parse(provider['name']) or ('', '')
            if pattern:
                parent = provider['parent_provider_uuid']
                hosts.setdefault(parent, []).append(pattern)
            elif name:
                found[name] = provider['uuid']
        return tuple(
            Gate(name, uuid, tuple(sorted(hosts.get(uuid, ()))))
            for name, uuid in sorted(found.items())
        )

    def state(self, gate: Gate) -> gate_lib.State:
        """Return what is true of a gate.

        :raises PlacementAway: if it does not answer.
        """
        base = f'/resource_providers/{gate.uuid}'
        inventory = self.client.get(
            f'{base}/inventories/{names.RESOURCE_CLASS}', http.NOT_FOUND
        )
        owners = self.owners(gate)
        if inventory is None:
            return gate_lib.State(owners=owners, gone=True)
        total, reserved = inventory['total'], inventory['reserved']
        limit = 0 if total == gate_lib.UNLIMITED else total
        return gate_lib.State(limit, owners, paused=reserved >= total)

    def owners(self, gate: Gate) -> tuple[str, ...]:
        """Return the migrations that have a slot of a gate.

        :raises PlacementAway: if it does not answer.
        """
        url = f'/resource_providers/{gate.uuid}/allocations'
        held = self.client.get(url, http.NOT_FOUND) or {}
        consumers = held.get('allocations', ())
        return tuple(sorted(map(names.migration_of, consumers)))

    def claim(
        self, migration_uuid: str, host: str, gates: Sequence[Gate]
    ) -> bool:
        """Take a slot of each of some gates for a migration.

        :param host: whose migration it is.
        :returns: whether it has them; if not, it has none.
        :raises PlacementAway: if nobody knows.
        """
        url = _allocations(migration_uuid)
        wanted = {
            gate.uuid: {'resources': {names.RESOURCE_CLASS: 1}}
            for gate in gates
        }
        response = self.client.put(
            url,
            {
                'allocations': wanted,
                'project_id': names.PROJECT,
                'user_id': host,
                'consumer_generation': None,
            },
            # A gate that is gone is a bad request.
            *(http.CONFLICT, 400),
        )
        held = wanted
        if response.status_code not in http.OK:
            # It may have them: an answer was lost, or nova-compute restarted.
            held = self.client.get(url)['allocations']
        if held.keys() == wanted.keys() and self._is_sound(gates):
            return True
        if held:
            self.free(migration_uuid)
        return False

    def _is_sound(self, gates: Sequence[Gate]) -> bool:
        """Tell whether no gate has more owners than slots.

        Placement can give one too many where several ask at once: on MySQL
        it repeats the write that lost a race with what it counted before.
        Of those that got one the last to be written sees all others, so that
        too many do not go on, though too few may.
        """
        return all(self.state(gate).room >= 0 for gate in gates)

    def free(self, migration_uuid: str) -> bool:
        """Give back all slots of a migration.

        :returns: whether it had any.
        :raises PlacementAway: if nobody knows.
        """
        response = self.client.delete(
            _allocations(migration_uuid), http.NOT_FOUND
        )
        return response.status_code != http.NOT_FOUND

    def slots_of(self, host: str) -> int:
        """Return how many slots the migrations of a host have.

        :raises PlacementAway: if it does not answer.
        """
        query = parse.urlencode({'project_id': names.PROJECT, 'user_id': host})
        usages = self.client.get(f'/usages?{query}')['usages']
        return int(usages.get(names.RESOURCE_CLASS, 0))

    def host_of(self, migration_uuid: str) -> str | None:
        """Return whose migration has slots; None if it has none."""
        body: dict[str, Any] = self.client.get(_allocations(migration_uuid))
        if body.get('project_id') != names.PROJECT:
            return None
        return str(body['user_id'])


def _allocations(migration_uuid: str) -> str:
    return f'/allocations/{names.consumer_of(migration_uuid)}'
