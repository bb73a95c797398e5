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


"""A limit of the whole cloud, in a storm, with two owners killed in it.

Each host sends all of its guests to the next one. What is on its way is
counted by libvirt, on all hosts together. Placement is restarted meanwhile.
"""

from collections.abc import Callable
from collections.abc import Iterator
import json
import statistics
import time
from typing import Any

from labkit.cloud import FINAL
from labkit.cloud import Migration
from labkit import computes
from labkit import control
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import IN_PROGRESS
from labkit.watch import incoming
from labkit.watch import Watch

GATE, LIMIT = 'lab-cluster', 2
EACH = 4
# How many of the hosts that own a slot are killed, and for how many seconds
# Placement is away.
KILLED, AWAY = 2, 10
# For each guest, what is lost with the owners included.
CAP = 90


def run(stage: Stage) -> Iterator[Case]:
    """Storm through one gate."""
    if stage.plain:
        # It has no such limit.
        return
    hosts = stage.plan.compute_hosts
    label = f'{len(hosts)} hosts of {EACH}, gate of {LIMIT} for all'
    if stage.wanted(label):
        yield _storm(stage, label, hosts)


def _storm(stage: Stage, label: str, hosts: list[str]) -> Case:
    stage.clean()
    stage.set(limit=EACH, housekeeping_interval=10)
    _throttle(
        stage, 'gate', 'create', GATE, '--limit', str(LIMIT), '-f', 'json'
    )
    count = Count(stage, hosts)
    servers = {host: stage.boot(EACH, 'dirty2', host) for host in hosts}
    watch = stage.watch()
    for turn in range(EACH):
        for host, target in zip(hosts, [*hosts[1:], hosts[0]], strict=True):
            stage.migrate([servers[host][turn]], target)
    total = EACH * len(hosts)
    # Before that, a request is Nova's: it fails with Placement.
    count.until(
        watch,
        'all queued, two in progress',
        lambda w: (
            len(w.last) == total
            and not w.count('accepted')
            and len(owners(w.last)) >= KILLED
        ),
    )
    _kill_and_restart(stage, owners(watch.last)[:KILLED])
    ended = count.until(
        watch, 'the end', lambda w: w.over() >= total, CAP * total
    )
    left = stage.problems(watch)
    slots = _slots(stage)
    if not slots:
        _throttle(stage, 'gate', 'delete', GATE)
    return _case(label, watch, count.most, ended, total, left, slots)


class Count:
    """What is on its way at once, on all hosts, by libvirt."""

    def __init__(self, stage: Stage, hosts: list[str]) -> None:
        self._stage = stage
        self._hosts = hosts
        self.most = 0

    def until(
        self,
        watch: Watch,
        what: str,
        check: Callable[[Watch], bool],
        seconds: float = PATIENCE,
    ) -> bool:
        """Count until something is true; return whether it became so."""

        def look(watch: Watch) -> bool:
            arriving = [incoming(self._stage.plan, h) for h in self._hosts]
            self.most = max(self.most, sum(arriving))
            return check(watch)

        try:
            watch.until(what, look, seconds)
        except shell.LabError:
            return False
        return True


def _kill_and_restart(stage: Stage, hosts: list[str]) -> None:
    shell.say(f'Killing nova-compute of {", ".join(hosts)}, and Placement')
    for host in hosts:
        computes.kill(stage.plan, host)
    control.kill_api(stage.plan, 'placement')
    time.sleep(AWAY)
    begin = computes.now()
    for host in hosts:
        computes.start(stage.plan, host)
    control.start_api(stage.plan, 'placement')
    computes.wait_up(stage.plan, stage.cloud, hosts, begin)


def owners(migrations: list[Migration]) -> list[str]:
    """Return the hosts that have a live migration in progress."""
    found = {m.source for m in migrations if m.status in IN_PROGRESS}
    return sorted(found)


def hand_overs(history: list[dict[str, Any]]) -> list[float]:
    """Return the seconds from each end to the next beginning.

    :param history: of a watch.
    """
    found, ended = [], []
    for line in history:
        if line['status'] in FINAL:
            ended.append(line['at'])
        elif line['status'] == 'preparing' and ended:
            found.append(round(line['at'] - ended.pop(0), 1))
    return found


def _slots(stage: Stage) -> list[str]:
    shown = json.loads(_throttle(stage, 'gate', 'show', GATE, '-f', 'json'))
    slots: list[str] = shown['Owners']
    return slots


def _throttle(stage: Stage, *words: str) -> str:
    return computes.throttle(stage.plan, stage.plan.compute_hosts[0], *words)


def _case(
    label: str,
    watch: Watch,
    most: int,
    ended: bool,
    total: int,
    left: list[str],
    slots: list[str],
) -> Case:
    times = sorted(hand_overs(watch.history)) or [0.0]
    completed = watch.count('completed')
    case = Case(
        label,
        {
            'completed': f'{completed} of {total}',
            'makespan (s)': watch.elapsed,
            'incoming at once, by libvirt': most,
            'hand-over, median (s)': statistics.median(times),
            'hand-over, longest (s)': times[-1],
            'left behind': len(left) + len(slots),
        },
        raw={'history': watch.history, 'left': left, 'slots': slots},
    )
    case.expect(most <= LIMIT, f'{most} incoming, limit {LIMIT}')
    case.expect(ended and completed == total, 'not all completed')
    case.expect(not left, '; '.join(left))
    case.expect(not slots, f'{len(slots)} slots are left in Placement')
    return case
