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

"""SIGTERM with a queue that is longer than the time that Nova waits."""

from collections.abc import Iterator

from labkit import computes
from labkit import network
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

SOURCE, TARGET = 'compute1', 'compute2'
COUNT = 4


def run(stage: Stage) -> Iterator[Case]:
    """Stop in order with one running and three queued, and start again."""
    stage.clean()
    stage.set(limit=1, rate='40mbit')
    watch = stage.depart(COUNT, SOURCE, TARGET)
    watch.until_one_runs(COUNT, PATIENCE)
    stopping = watch.elapsed
    computes.terminate(stage.plan, SOURCE)
    watch.look()
    stopped, took = watch.statuses(), round(watch.elapsed - stopping, 1)
    shell.say(f'Stopped after {took} s: {stopped}')
    network.shape(stage.plan, '60mbit')
    begin = computes.now()
    computes.start(stage.plan, SOURCE)
    computes.wait_up(stage.plan, stage.cloud, [SOURCE], begin)
    watch.until_over(COUNT, 30 if stage.plain else 300)
    left = stage.problems(watch, 30 if stage.plain else 180)
    yield _case(stage, watch, stopped, took, left)


def _case(
    stage: Stage, watch: Watch, stopped: str, took: float, left: list[str]
) -> Case:
    lost = [m.id for m in watch.last if m.status in ('cancelled', 'queued')]
    case = Case(
        f'{COUNT} servers, limit 1, stopped with {COUNT - 1} queued',
        {
            'the stop took (s)': took,
            'when stopped': stopped,
            'in the end': watch.statuses(),
            'servers in ERROR': sum(
                server.status == 'ERROR' for server in stage.cloud.servers()
            ),
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    case.expect(not lost, f'{len(lost)} queued ones were lost')
    case.expect(not left, '; '.join(left))
    return case
