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

"""kill -9 of the source's nova-compute, with migrations in every state."""

from collections.abc import Iterator
import time

from labkit import computes
from labkit import network
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

SOURCE, TARGET = 'compute1', 'compute2'
# The slow guest does not end while another one shares the first link, nor
# alone on the second.
SHARED, NARROW = '40mbit', '16mbit'
WAITING = 4


def run(stage: Stage) -> Iterator[Case]:
    """Restart before the running guest has arrived, and after it has."""
    for pause in (6, 60):
        label = f'restart after {pause} s'
        if stage.wanted(label):
            yield _crash(stage, label, pause)


def _crash(stage: Stage, label: str, pause: int) -> Case:
    stage.clean()
    stage.set(limit=2, rate='off')
    slow = stage.boot(1, 'dirty4', SOURCE)
    quick = stage.boot(1, 'idle', SOURCE)
    others = stage.boot(WAITING, 'dirty2', SOURCE)
    network.shape(stage.plan, SHARED)
    watch = stage.watch()
    stage.migrate(slow, TARGET)
    watch.until('running', lambda w: w.count('running') == 1, PATIENCE)
    stage.migrate([*quick, *others], TARGET)
    # When the idle guest has gone, the next one begins to prepare.
    _wait_for_moment(watch)
    computes.kill(stage.plan, SOURCE)
    killed = watch.look()
    before = watch.statuses()
    shell.say(f'Killed nova-compute of {SOURCE}: {before}')
    network.shape(stage.plan, 'off' if pause >= 60 else NARROW)
    time.sleep(pause)
    begin = computes.now()
    computes.start(stage.plan, SOURCE)
    computes.wait_up(stage.plan, stage.cloud, [SOURCE], begin)
    watch.until('end of the slow one', lambda w: w.over() >= 2, PATIENCE)
    network.shape(stage.plan, '60mbit')
    watch.until_over(len(killed), 240 if not stage.plain else 60)
    left = stage.problems(watch, 180 if not stage.plain else 30)
    return _case(label, watch, before, left, {m.id for m in killed})


def _wait_for_moment(watch: Watch) -> None:
    """Wait until one runs, one prepares and the others wait."""
    watch.until(
        'one that prepares beside one that runs',
        lambda w: (
            w.count('completed') == 1 and w.count('queued') == WAITING - 1
        ),
        PATIENCE,
        every=0.1,
    )


def _case(
    label: str, watch: Watch, before: str, left: list[str], known: set[int]
) -> Case:
    after = watch.statuses()
    waited = {
        line['id']
        for line in watch.history
        if line['status'] == 'queued' and line['id'] in known
    }
    done = sum(m.status == 'completed' for m in watch.last if m.id in waited)
    case = Case(
        label,
        {
            'when killed': before,
            'in the end': after,
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    lost = len(waited) - done
    case.expect(not lost, f'{lost} queued ones were lost')
    case.expect(not left, '; '.join(left))
    return case
