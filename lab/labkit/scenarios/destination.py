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

"""The destination dies while migrations own its slots."""

from collections.abc import Callable
from collections.abc import Iterator

from labkit import computes
from labkit import hosts
from labkit import network
from labkit.plan import Plan
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

SOURCE, TARGET = 'compute1', 'compute2'
COUNT = 3
DEATHS: dict[str, Callable[[Plan, str], None]] = {
    'nova-compute of the destination is killed': computes.kill,
    'the destination dies': hosts.crash,
}


def run(stage: Stage) -> Iterator[Case]:
    """Kill it, let the source deal with that, and bring it back."""
    for label, kill in DEATHS.items():
        if stage.wanted(label):
            yield _die(stage, label, kill)


def _die(stage: Stage, label: str, kill: Callable[[Plan, str], None]) -> Case:
    stage.clean()
    stage.set(
        limit=1,
        rate='40mbit',
        max_incoming_live_migrations=1,
        housekeeping_interval=10,
    )
    watch = stage.depart(COUNT, SOURCE, TARGET)
    watch.until(
        'one running', lambda w: w.count('running') == 1, PATIENCE, every=0.2
    )
    kill(stage.plan, TARGET)
    network.shape(stage.plan, '200mbit')
    shell.say(f'{label}: {watch.statuses()}')
    over = watch.until_over(COUNT, 420 if not stage.plain else 240)
    without = watch.statuses()
    _revive(stage)
    left = stage.problems(watch, 240 if not stage.plain else 30)
    free = _next_goes(stage)
    case = Case(
        label,
        {
            'while it is dead': without,
            'in the end': _now(watch),
            'the next migration': free,
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    case.expect(over, f'not over while the destination is dead: {without}')
    case.expect(free == 'completed', f'the next migration is {free}')
    case.expect(not left, '; '.join(left))
    return case


def _now(watch: Watch) -> str:
    watch.look()
    return watch.statuses()


def _revive(stage: Stage) -> None:
    begin = computes.now()
    computes.start_host(stage.plan, TARGET)
    computes.start(stage.plan, TARGET)
    computes.wait_up(stage.plan, stage.cloud, [TARGET], begin)
    network.shape(stage.plan, '200mbit')


def _next_goes(stage: Stage) -> str:
    """Try whether a slot is free again.

    :returns: what became of one more migration of a new server.
    """
    try:
        server = stage.boot(1, 'idle', SOURCE)[0]
        watch = stage.watch()
        stage.migrate([server], TARGET)
        watch.until_over(1, 120)
    except shell.LabError as error:
        return str(error)
    return watch.statuses().removeprefix('1 ')
