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

"""A host is drained: how long it takes, at which limit, and for each guest."""

from collections.abc import Iterator
import re
import statistics
from typing import Any

from labkit.cloud import Server
from labkit import computes
from labkit.results import Case
from labkit.stage import Stage
from labkit.watch import Watch

COUNT = 8
RATES = (3, 4)
LIMITS = (1, 4, 8, 0)
# What has not ended by then does not converge.
CAP = 180


def run(stage: Stage) -> Iterator[Case]:
    """Drain there and back, with each limit."""
    for rate in RATES:
        servers: list[Server] = []
        for limit in LIMITS:
            label = f'{COUNT} guests at {rate} MiB/s, limit {limit}'
            if not stage.wanted(label):
                continue
            stage.set(limit=limit)
            if not servers:
                stage.clean()
                stage.set(limit=limit)
                servers = stage.boot(COUNT, f'dirty{rate}', 'compute1')
            case, moved = _drain(stage, label, servers, limit)
            servers = moved
            yield case


def _drain(
    stage: Stage, label: str, servers: list[Server], limit: int
) -> tuple[Case, list[Server]]:
    """Drain once.

    :returns: the case, and the servers if all are on the other host.
    """
    target = 'compute2' if servers[0].host == 'compute1' else 'compute1'
    watch = stage.watch(incoming_on=target)
    stage.migrate(servers, target)
    ended = watch.until_over(COUNT, CAP)
    completed = watch.count('completed')
    makespan = watch.elapsed
    jobs = _jobs(stage, target)
    if not ended:
        stage.abort_rest(watch)
    left = stage.problems(watch)
    case = Case(
        label,
        {
            'completed': f'{completed} of {COUNT}',
            'makespan (s)': makespan if ended else f'none in {CAP}',
            'in progress at once': watch.most_out,
            'time of a guest (s)': _spread(durations(watch)),
            'downtime (ms)': _spread(jobs),
            'left behind': len(left),
        },
        raw={'history': watch.history, 'downtimes': jobs, 'left': left},
    )
    _judge(case, watch, limit, completed, left)
    moved = [stage.cloud.server(server.id) for server in servers]
    whole = completed == COUNT and not left
    return case, moved if whole else []


def _judge(
    case: Case, watch: Watch, limit: int, completed: int, left: list[str]
) -> None:
    if limit:
        most = watch.most_out
        case.expect(most <= limit, f'{most} in progress, limit {limit}')
    case.expect(limit != 1 or completed == COUNT, 'not all completed')
    case.expect(not left, '; '.join(left))


def durations(watch: Watch) -> list[float]:
    """Return how long each completed migration was in progress."""
    begun: dict[int, float] = {}
    found = []
    for line in watch.history:
        if line['status'] in ('preparing', 'running'):
            begun.setdefault(line['id'], line['at'])
        elif line['status'] == 'completed' and line['id'] in begun:
            found.append(round(line['at'] - begun[line['id']], 1))
    return found


def _jobs(stage: Stage, host: str) -> list[int]:
    """Return the downtimes of arrived guests, as libvirt has them."""
    found = []
    for domain in computes.domains(stage.plan, host):
        words = ('domjobinfo', domain, '--completed')
        text = computes.virsh(stage.plan, host, *words, check=False)
        match = re.search(r'Total downtime:\s+(\d+)', text)
        if match:
            found.append(int(match[1]))
    return found


def _spread(values: list[Any]) -> str:
    if not values:
        return ''
    return f'{statistics.median(values):g}, at most {max(values):g}'
