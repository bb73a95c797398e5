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

"""Aborts by the user's own command: queued, preparing and running."""

from collections.abc import Iterator
import signal
import time

from labkit.cloud import Migration
from labkit import hosts
from labkit import network
from labkit import openstack
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

SOURCE, TARGET = 'compute1', 'compute2'
COUNT = 3
PAUSE, RESUME = signal.SIGSTOP, signal.SIGCONT


def run(stage: Stage) -> Iterator[Case]:
    """Abort one of each status; the others must complete."""
    for status in ('queued', 'preparing', 'running'):
        if stage.wanted(status):
            yield _abort(stage, status)


def _abort(stage: Stage, status: str) -> Case:
    stage.clean()
    stage.set(limit=1, rate='40mbit')
    watch = stage.depart(COUNT, SOURCE, TARGET)
    watch.until(
        'a queue', lambda w: w.count('queued') == 2, PATIENCE, every=0.1
    )
    if status == 'running':
        watch.until('running', lambda w: w.count(status) == 1, PATIENCE)
    try:
        target = _choose(stage, watch, status)
        shell.say(f'Aborting {target.id}, which is {target.status}')
        said = _command(stage, target)
    finally:
        hosts.kill(stage.plan, TARGET, 'bin/nova-compute', number=RESUME)
    network.shape(stage.plan, '200mbit')
    watch.until_over(COUNT, PATIENCE)
    left = stage.problems(watch, 120 if not stage.plain else 30)
    ended = next(m.status for m in watch.last if m.id == target.id)
    case = Case(
        f'abort while {status}',
        {
            'the command': said,
            'the migration': ended,
            'the others': f'{watch.count("completed")} of 2 completed',
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    # It may have been over before the command arrived, but then it says so.
    kept = ended == 'cancelled' or said != 'accepted'
    case.expect(kept, f'accepted, and then {ended}')
    case.expect(watch.over() == COUNT, 'some did not end')
    case.expect(not left, '; '.join(left))
    return case


def _choose(stage: Stage, watch: Watch, status: str) -> Migration:
    """Return one of a status.

    ``preparing`` lasts a moment and the command takes seconds, so there the
    destination's nova-compute is stopped while it is asked to prepare.
    """
    if status == 'preparing':
        hosts.kill(stage.plan, TARGET, 'bin/nova-compute', number=PAUSE)
        time.sleep(3)  # It may have answered just before.
        if not watch.look() or not watch.count(status):
            running = next(m for m in watch.last if m.status == 'running')
            stage.cloud.abort(running)
            watch.until('the next', lambda w: w.count(status) == 1, PATIENCE)
    return next(m for m in watch.last if m.status == status)


def _command(stage: Stage, migration: Migration) -> str:
    words = ['server', 'migration', 'abort']
    try:
        openstack.run(stage.plan, *words, migration.server, str(migration.id))
    except shell.LabError as error:
        return f'refused: {error}'[:60]
    return 'accepted'
