# SPDX-License-Identifier: Apache-2.0

"""Random live migrations, aborts and faults: is anything left in the end?"""

from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import pathlib

from labkit.chaos.faults import FAULTS
from labkit.chaos.history import History
from labkit.chaos import run as runs
from labkit.chaos import schedule as schedules
from labkit.chaos.schedule import Schedule
from labkit.cloud import ApiError
from labkit.cloud import Server
from labkit.results import Case
from labkit import shell
from labkit.stage import Stage
from labkit import trace

GUESTS = ('idle', 'dirty2')
# For migrations to end, and then for what they held to be given back.
PATIENCE, AFTERWARDS = 240, 180


def run(stage: Stage) -> Iterator[Case]:
    """Try one seed after the other."""
    options = stage.chaos
    for seed in range(options.seed, options.seed + options.seeds):
        label = f'seed {seed}, {options.minutes:g} min'
        if options.load:
            label += f', load {options.load}'
        if stage.wanted(label):
            yield _seed(stage, seed, label)


def _seed(stage: Stage, seed: int, label: str) -> Case:
    schedule = schedules.make(
        seed,
        stage.chaos.minutes * 60,
        stage.plan.compute_hosts,
        {name: fault.on for name, fault in FAULTS.items()},
    )
    stage.clean()
    stage.set(
        limit=schedule.limit,
        max_incoming_live_migrations=schedule.incoming,
        housekeeping_interval=10,
    )
    servers = stage.boot_each(
        [(i, host) for host in stage.plan.compute_hosts for i in GUESTS]
    )
    history = History(stage.plan)
    place = _place(stage, seed)
    storm = runs.Run(stage.plan, schedule, servers)
    left = ['not looked at']
    try:
        with runs.busy(stage.chaos.load):
            storm.go()
        left = _look(stage, storm)
    finally:
        _keep(stage, history, place, storm, schedule, servers, left)
    return _case(label, storm, schedule, left, place)


def _place(stage: Stage, seed: int) -> pathlib.Path:
    mode = 'plain' if stage.plain else 'ours'
    now = datetime.datetime.now().strftime('%m%d-%H%M%S')
    return stage.chaos.place / f'{mode}-seed{seed}-{now}'


def _look(stage: Stage, storm: runs.Run) -> list[str]:
    """Return what is left once all is over, or when it never will be."""
    with contextlib.suppress(shell.LabError):
        storm.watch.until(
            'end of the migrations',
            lambda watch: watch.over() == len(watch.last),
            PATIENCE,
        )
    try:
        return stage.problems(storm.watch, AFTERWARDS)
    except ApiError as error:
        return [f'an API does not answer when all is healed: {error}']


def _keep(
    stage: Stage,
    history: History,
    place: pathlib.Path,
    storm: runs.Run,
    schedule: Schedule,
    servers: list[Server],
    left: list[str],
) -> None:
    """Keep what is needed to follow what was left."""
    known = []
    with contextlib.suppress(ApiError):
        known = trace.records(stage.cloud, servers, storm.watch.after)
    history.keep(
        place,
        records=known,
        schedule=dataclasses.asdict(schedule),
        statuses=storm.watch.history,
        left=left,
    )
    shell.say(f'Kept in {place}')


def _case(
    label: str,
    storm: runs.Run,
    schedule: Schedule,
    left: list[str],
    place: pathlib.Path,
) -> Case:
    watch, limits = storm.watch, storm.limits
    failed = watch.count('failed') + watch.count('error')
    case = Case(
        label,
        {
            'limits (source, destination)': f'{limits.out}, {limits.into}',
            'faults': len(schedule.troubles),
            'requests': ', '.join(
                f'{count} {answer}'
                for answer, count in sorted(storm.answers.items())
            ),
            'completed': watch.count('completed'),
            'failed': failed,
            'cancelled': watch.count('cancelled'),
            'at once, by libvirt': f'{limits.most_out}, {limits.most_into}',
            'left wrong': len(left),
        },
        raw={'left': left, 'kept': place.name},
    )
    case.broken += [*limits.broken(), *left]
    return case
