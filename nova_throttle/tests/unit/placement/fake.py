# SPDX-License-Identifier: Apache-2.0

"""As much of Placement as slots need, without a network to rely on."""

from urllib import parse

from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import names


class Answer:
    def __init__(self, status_code, body=None):
        self.status_code = status_code
        self._body = body

    def json(self):
        return self._body


class Placement:
    """Providers, inventories and allocations.

    A trouble happens to one request: it is refused, fails with an error, is
    done twice, or is done and its answer lost; or a claim is done later, or
    though there is no room.

    :param limits: of each gate.
    """

    def __init__(self, limits):
        self.gates = {gate.uuid: gate for gate in limits}
        self.limits = {gate.uuid: limit for gate, limit in limits.items()}
        # Providers of each consumer, and whose it is.
        self.held = {}
        self.host_of = {}
        self.trouble = None
        self.late = []
        self.requests = 0

    def used(self, provider):
        return sum(provider in held for held in self.held.values())

    def next_trouble(self, is_claim):
        if self.trouble in ('late', 'raced') and not is_claim:
            return None
        trouble, self.trouble = self.trouble, None
        return trouble

    def _do(self, work, is_claim=False):
        self.requests += 1
        trouble = self.next_trouble(is_claim)
        if trouble == 'late':
            self.late.append(work)
            raise OSError
        if trouble == 'refused':
            raise OSError
        answer = Answer(503) if trouble == 'error' else work()
        if trouble == 'repeated':
            return work()
        if trouble == 'lost':
            raise OSError
        return answer

    def get(self, url, version):
        return self._do(lambda: self._get(url))

    def _get(self, url):
        path, _, query = url.partition('?')
        parts = path.strip('/').split('/')
        if parts[0] == 'usages':
            (host,) = parse.parse_qs(query)['user_id']
            used = sum(
                len(held)
                for consumer, held in self.held.items()
                if self.host_of[consumer] == host
            )
            return Answer(200, {'usages': {names.RESOURCE_CLASS: used}})
        if parts[0] == 'allocations':
            return self._get_consumer(parts[1])
        if len(parts) == 1:
            return self._get_providers()
        if parts[2] == 'inventories':
            total = self.limits[parts[1]]
            return Answer(200, {'total': total, 'reserved': 0})
        owners = [c for c, held in self.held.items() if parts[1] in held]
        return Answer(200, {'allocations': dict.fromkeys(owners)})

    def _get_consumer(self, consumer):
        held = {name: {} for name in self.held.get(consumer, ())}
        body = {'allocations': held}
        if held:
            host = self.host_of[consumer]
            body |= {'project_id': names.PROJECT, 'user_id': host}
        return Answer(200, body)

    def _get_providers(self):
        found = []
        for uuid, gate in self.gates.items():
            found.append({'name': names.provider_of(gate.name), 'uuid': uuid})
            found += [
                {
                    'name': names.member_of(gate.name, pattern),
                    'uuid': f'{uuid} {pattern}',
                    'parent_provider_uuid': uuid,
                }
                for pattern in gate.hosts
            ]
        return Answer(200, {'resource_providers': found})

    def put(self, url, data, version):
        raced = self.trouble == 'raced'
        consumer = url.split('/')[-1]
        return self._do(lambda: self._put(consumer, data, raced), True)

    def _put(self, consumer, data, raced):
        wanted = set(data['allocations'])
        full = any(self.used(each) >= self.limits[each] for each in wanted)
        if consumer in self.held or (full and not raced):
            return Answer(409)
        self.held[consumer] = wanted
        self.host_of[consumer] = data['user_id']
        return Answer(204)

    def delete(self, url, version):
        return self._do(lambda: self._delete(url.split('/')[-1]))

    def _delete(self, consumer):
        had = self.held.pop(consumer, None)
        return Answer(404 if had is None else 204)


def make_gate(name, *hosts):
    """Return a gate that limits some hosts."""
    return gate_lib.Gate(name, f'uuid-{name}', hosts or ('*',))
