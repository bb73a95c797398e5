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

"""A guest goes off while its live migration runs, or before its turn.

Each guest has its only disk on its source. Whatever the migration thinks of a
domain that is defined and off, that disk must still be there.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib

from labkit.cloud import ApiError
from labkit.cloud import Migration
from labkit.cloud import Server
from labkit import computes
from labkit import hosts
from labkit import network
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import incoming
from labkit.watch import Watch

SOURCE, TARGET = 'compute1', 'compute2'
# A guest that writes 4 MiB/s does not end on it.
NARROW = '16mbit'


def run(stage: Stage) -> Iterator[Case]:
    """Switch off the source, the guest that runs, and the one that waits."""
    for label, switch_off in CASES.items():
        if stage.wanted(label):
            yield _case(stage, label, switch_off)


def _power_fails(stage: Stage, running: Server, queued: Server) -> None:
    hosts.crash(stage.plan, SOURCE)
    begin = computes.now()
    computes.start_host(stage.plan, SOURCE)
    computes.start(stage.plan, SOURCE)
    computes.wait_up(stage.plan, stage.cloud, [SOURCE], begin)


def _running_goes_off(stage: Stage, running: Server, queued: Server) -> None:
    computes.virsh(stage.plan, SOURCE, 'destroy', running.domain)


def _queued_goes_off(stage: Stage, running: Server, queued: Server) -> None:
    computes.virsh(stage.plan, SOURCE, 'destroy', queued.domain)


SwitchOff = Callable[[Stage, Server, Server], None]
CASES: dict[str, SwitchOff] = {
    'the power of the source fails': _power_fails,
    'the guest that is on the wire goes off': _running_goes_off,
    'the guest that is queued goes off': _queued_goes_off,
}


def _case(stage: Stage, label: str, switch_off: SwitchOff) -> Case:
    stage.clean()
    stage.set(limit=1, rate=NARROW, housekeeping_interval=10)
    servers = stage.boot(2, 'dirty4', SOURCE)
    watch = stage.watch()
    stage.migrate(servers, TARGET)
    watch.until_one_runs(2, PATIENCE)
    _wait_for_the_wire(stage)
    switch_off(stage, *_running_and_queued(watch, servers))
    shell.say(f'{label}: {watch.statuses()}')
    network.shape(stage.plan, '200mbit')
    over = watch.until_over(2, 300 if not stage.plain else 120)
    lost = _lost(stage, watch)
    states = _states(stage, servers)
    _switch_on(stage, servers)
    left = stage.problems(watch, 180)
    case = Case(
        label,
        {
            'in the end': watch.statuses(),
            'servers': states,
            'disks lost': len(lost),
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left, 'lost': lost},
    )
    case.expect(over, f'not over: {watch.statuses()}')
    case.expect(not lost, f'the disks of {", ".join(lost)} are gone')
    case.expect(not left, '; '.join(left))
    return case


def _wait_for_the_wire(stage: Stage) -> None:
    shell.wait_for(
        'a guest that arrives',
        lambda: incoming(stage.plan, TARGET) > 0,
        PATIENCE,
        every=0.2,
    )


def _running_and_queued(watch: Watch, servers: list[Server]) -> list[Server]:
    """Tell the guests apart: they are not asked for in the order of ids."""
    runs = next(m.server for m in watch.last if m.status == 'running')
    return sorted(servers, key=lambda server: server.id != runs)


def _lost(stage: Stage, watch: Watch) -> list[str]:
    """Return who has no disk where the whole of it is."""
    return [
        stage.cloud.server(migration.server).name
        for migration in watch.last
        if not _is_kept(stage, migration)
    ]


def _is_kept(stage: Stage, migration: Migration) -> bool:
    # Only what completed has a whole disk on the target.
    host = TARGET if migration.status == 'completed' else SOURCE
    path = f'nova/instances/{migration.server}/disk'
    is_there = stage.cloud.server(migration.server).host == host
    return is_there and (stage.plan.host_dir(host) / path).exists()


def _states(stage: Stage, servers: list[Server]) -> str:
    found = [stage.cloud.server(server.id) for server in servers]
    return ', '.join(f'{s.status} on {s.host}' for s in found)


def _switch_on(stage: Stage, servers: list[Server]) -> None:
    """Start the guests again, as their administrator does."""
    for server in servers:
        # One that is still in a task refuses, and is then found as such.
        with contextlib.suppress(ApiError):
            stage.cloud.act(server, 'reboot', {'type': 'HARD'})
    with contextlib.suppress(shell.LabError):
        shell.wait_for(
            'guests that are on again',
            lambda: all(
                stage.cloud.server(s.id).status == 'ACTIVE' for s in servers
            ),
            120,
            every=1,
        )
