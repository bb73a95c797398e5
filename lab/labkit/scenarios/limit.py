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

"""The limit is raised and lowered while migrations are in progress."""

from collections.abc import Iterator
import shlex

from labkit.cloud import FINAL
from labkit import computes
from labkit import network
from labkit.results import Case
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

SOURCE, TARGET = 'compute1', 'compute2'
COUNT = 6


def run(stage: Stage) -> Iterator[Case]:
    """Raise from 1 to 3, lower to 1. Plain Nova has no such thing."""
    if stage.plain:
        return
    stage.clean()
    stage.set(limit=1, rate='40mbit')
    watch = stage.depart(COUNT, SOURCE, TARGET)
    watch.until(
        'a queue',
        lambda w: w.count('queued') == COUNT - 1 and _active(w) == 1,
        PATIENCE,
    )
    raised_in = _set(stage, watch, 3)
    _set(stage, watch, 1)
    # What began while the command ran was not looked at meanwhile.
    watch.look()
    lowered = watch.elapsed
    network.shape(stage.plan, 'off')
    watch.until_over(COUNT, PATIENCE)
    left = stage.problems(watch)
    case = Case(
        f'{COUNT} servers, limit 1, then 3, then 1',
        {
            'raised: three in progress after (s)': raised_in,
            'completed': f'{watch.count("completed")} of {COUNT}',
            'in progress at once': watch.most_out,
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    case.expect(watch.most_out == 3, f'{watch.most_out} in progress at once')
    case.expect(
        not _started_beside_another(watch, lowered),
        'one started beside another after the limit was lowered',
    )
    case.expect(watch.count('completed') == COUNT, 'not all completed')
    case.expect(not left, '; '.join(left))
    yield case


def _active(watch: Watch) -> int:
    return watch.count('preparing') + watch.count('running')


def _set(stage: Stage, watch: Watch, limit: int) -> float:
    """Set the limit and wait, if it was raised, until it is used."""
    begin = watch.elapsed
    computes.throttle(
        stage.plan, SOURCE, *shlex.split(f'limit set {SOURCE} {limit}')
    )
    if limit > 1:
        watch.until(
            'as many as now fit',
            lambda w: _active(w) == limit,
            PATIENCE,
            every=0.1,
        )
    return round(watch.elapsed - begin, 1)


def _started_beside_another(watch: Watch, since: float) -> bool:
    """Whether one started since then while another was in progress.

    What one look shows has no order: what ended did so before.
    """
    active: set[int] = set()
    history = sorted(
        watch.history,
        key=lambda line: (line['at'], line['status'] not in FINAL),
    )
    for line in history:
        begins = line['status'] == 'preparing'
        if begins and line['at'] > since and active:
            return True
        if begins or line['status'] == 'running':
            active.add(line['id'])
        elif line['status'] != 'queued':
            active.discard(line['id'])
    return False
