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

"""A host is drained by our command, and all that works on it is killed."""

from collections.abc import Iterator
import json
import os
import re
import subprocess
from typing import Any

from labkit.cloud import Server
from labkit import computes
from labkit import control
from labkit import hosts
from labkit import network
from labkit import openstack
from labkit.plan import CONTROL
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

SOURCE = 'compute1'
# The guest that writes 4 MiB/s does not end on this link.
NARROW = '24mbit'
GUESTS = ('idle', 'idle', 'idle', 'idle', 'dirty1', 'dirty1', 'dirty4')
DEADLINE = '150s'
UNITS = {'s': 1, 'min': 60, 'h': 3600}
KILLED = ('the command', 'nova-compute', 'the conductor')


def run(stage: Stage) -> Iterator[Case]:
    """Drain a mix of servers, undisturbed and with everything killed."""
    if stage.plain:
        return
    for label, killed in (('undisturbed', ()), ('all killed', KILLED)):
        if stage.wanted(label):
            yield _case(stage, label, killed)


def _case(stage: Stage, label: str, killed: tuple[str, ...]) -> Case:
    stage.clean()
    _open(stage)
    stage.set(limit=2, rate=NARROW)
    servers = _prepare(stage)
    stopped, locked = servers[1], servers[3]
    watch = stage.watch()
    if killed:
        _begin_and_kill(stage, watch)
    first = _Drain(
        *(stage, '--stopped', 'skip'),
        *('--deadline', DEADLINE, '--at-deadline', 'force-complete'),
    )
    _fail_one(stage, watch, servers[4])
    status, left, told = first.wait()
    makespan = watch.elapsed
    stage.cloud.act(locked, 'unlock', None)
    # Nobody can copy disks from host to host in the lab, as a cold migration
    # does.
    stage.cloud.act(stopped, 'os-start', None)
    _wait_status(stage, stopped, 'ACTIVE')
    last, rest, _ = _Drain(stage).wait()
    # All are to be ACTIVE in the end.
    stage.cloud.act(servers[2], 'unpause', None)
    on_host = [s for s in stage.cloud.servers() if s.host == SOURCE]
    problems = stage.problems(watch)
    _open(stage)
    case = Case(
        f'{len(servers)} servers, {label}',
        {
            'killed': ', '.join(killed) or 'nothing',
            'exit with two that stay': status,
            'exit in the end': last,
            'makespan (s)': makespan,
            'error of the time left (%)': _error(told),
            'left behind': len(problems),
        },
        raw={'told': told, 'left': left, 'history': watch.history},
    )
    names = sorted(row['Name'] for row in left)
    stay = sorted([stopped.name, locked.name])
    case.expect(status == 1, f'status {status} with two that stay')
    case.expect(names == stay, f'left: {names}')
    case.expect(not last and not rest, f'status {last} in the end: {rest}')
    case.expect(not on_host, f'{len(on_host)} servers are on {SOURCE}')
    case.expect(not problems, '; '.join(problems))
    return case


def _prepare(stage: Stage) -> list[Server]:
    """Boot the mix: ACTIVE, SHUTOFF, PAUSED, locked, and one too fast."""
    servers = stage.boot_each([(image, SOURCE) for image in GUESTS])
    for server, action, status in (
        (servers[1], 'os-stop', 'SHUTOFF'),
        (servers[2], 'pause', 'PAUSED'),
    ):
        stage.cloud.act(server, action, None)
        _wait_status(stage, server, status)
    stage.cloud.act(servers[3], 'lock', None)
    return servers


def _wait_status(stage: Stage, server: Server, status: str) -> None:
    def has() -> bool:
        return stage.cloud.server(server.id).status == status

    shell.wait_for(f'{server.name} {status}', has, PATIENCE)


class _Drain:
    """The command, while the scenario goes on."""

    def __init__(self, stage: Stage, *words: str) -> None:
        command = str(stage.plan.venv('throttled') / 'bin/nova-throttle')
        self._process = subprocess.Popen(
            hosts.inside(
                *(stage.plan, CONTROL, command, 'drain', 'start', SOURCE),
                *('--wait', '--interval', '2s', '-f', 'json', *words),
            ),
            env={**os.environ, **openstack.credentials(stage.plan)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self, stage: Stage) -> None:
        """End it as nobody expects."""
        # Not what entered the host, which has only started it.
        hosts.kill(stage.plan, CONTROL, 'bin/nova-throttle')
        self._process.communicate()

    def wait(self) -> tuple[int, list[dict[str, Any]], list[str]]:
        """Return its status, what is left, and the lines of its progress."""
        out, err = self._process.communicate(timeout=3 * PATIENCE)
        told = err.splitlines()
        for line in told:
            shell.say(line)
        left = json.loads(out) if out.strip() else []
        return self._process.returncode, left, told


def _begin_and_kill(stage: Stage, watch: Watch) -> None:
    """Kill the command, nova-compute and the conductor, and start the last."""
    drain = _Drain(stage)
    watch.until('two that run', lambda w: w.count('running') == 2, PATIENCE)
    drain.kill(stage)
    computes.kill(stage.plan, SOURCE)
    hosts.kill(stage.plan, CONTROL, 'nova-conductor')
    shell.say(f'Killed: {", ".join(KILLED)}')
    control.start_worker(stage.plan, 'nova-conductor')
    begin = computes.now()
    computes.start(stage.plan, SOURCE)
    computes.wait_up(stage.plan, stage.cloud, [SOURCE], begin)


def _fail_one(stage: Stage, watch: Watch, server: Server) -> None:
    """Have libvirt give up one migration behind everybody's back."""

    def runs(watch: Watch) -> bool:
        return any(
            each.server == server.id and each.status == 'running'
            for each in watch.last
        )

    watch.until('the one that fails', runs, PATIENCE, every=0.2)
    words = ('domjobabort', server.domain)
    computes.virsh(stage.plan, SOURCE, *words, check=False)


def _open(stage: Stage) -> None:
    service = stage.cloud.services()[SOURCE]
    path = f'/os-services/{service["id"]}'
    stage.cloud.ask('nova', 'PUT', path, {'status': 'enabled'})
    network.shape(stage.plan, 'off')


def _error(told: list[str]) -> str:
    """Say how wrong the time left was, when half of the time was over."""
    found = [
        (float(match[1]), float(match[2]) * UNITS[match[3]])
        for line in told
        if (match := re.search(r'^ *([\d.]+) .*about (\S+) (\w+)$', line))
    ]
    if not found:
        return ''
    end = float(told[-1].split()[0])
    at, left = min(found, key=lambda each: abs(each[0] - end / 2))
    return f'{100 * (at + left - end) / max(end - at, 1):+.0f}'
