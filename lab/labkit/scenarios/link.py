# SPDX-License-Identifier: Apache-2.0

"""Who has the link: how long a drain takes, by what limits it.

Each round tries every setting, one after the other, so that a machine that is
slow for a while is slow for all of them; the figures are medians.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import statistics
import time
from typing import Any

from labkit.cloud import Server
from labkit import computes
from labkit import phases as phases_lib
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import RATE
from labkit.stage import Stage
from labkit.watch import Watch

COUNT = 8
ROUNDS = 3
# What has not ended by then does not converge.
CAP = 180
SOURCE, TARGET = 'compute1', 'compute2'
# On this one a guest that writes 12 MiB/s does not converge, even alone; one
# that stepped aside, and moves 1 MiB/s, takes an eighth of it.
NARROW = '64mbit'
EACH = 4


@dataclasses.dataclass(frozen=True)
class Setting:
    """What limits a drain.

    :param limit: on what is in progress, at each host and side.
    :param transfers: on what moves, likewise; 0 is unlimited.
    """

    limit: int
    transfers: int | str = 0

    def __str__(self) -> str:
        link = f', transfers {self.transfers}' if self.transfers else ''
        return f'limit {self.limit}{link}'

    @property
    def is_fixed(self) -> bool:
        """Whether it is a limit that plain Nova has too."""
        return not self.transfers

    def apply(self, stage: Stage, rate: str = RATE) -> None:
        """Bring all hosts into this state."""
        stage.set(
            limit=self.limit,
            rate=rate,
            # Copied disks would go at the speed that they start with.
            shared=_can_share(),
            max_outgoing_transfers=self.transfers,
            max_incoming_transfers=self.transfers,
        )


def _can_share() -> bool:
    """Whether libvirt can be told that a local directory is shared."""
    return int(shell.run('virsh', '--version').split('.')[0]) >= 11


AUTO = Setting(8, 'auto')
SETTINGS = (
    *(Setting(limit) for limit in (1, 2, 4, 8)),
    Setting(8, 1),
    AUTO,
)

# Images by the name of the set: they leave in this order.
GUESTS = {
    '8 guests at 3 MiB/s': ('dirty3',) * COUNT,
    '8 guests at 4 MiB/s': ('dirty4',) * COUNT,
    '8 mixed guests': ('idle', 'dirty1', 'dirty2', 'dirty4') * 2,
}


@dataclasses.dataclass
class Drain:
    """One drain.

    :param makespan: seconds until all were over; None if they never were.
    """

    makespan: float | None
    completed: int
    left: list[str]
    history: list[dict[str, Any]]
    phases: list[dict[str, Any]]


def run(stage: Stage) -> Iterator[Case]:
    """Drain with each setting; then the cases that only the link has."""
    if stage.plain:
        # It has no such limits: its own are among the settings.
        return
    stage.clean()
    for name, images in GUESTS.items():
        yield from _rounds(stage, name, images)
    for attempt, name, settings in (
        (_stuck, 'one cannot converge', (Setting(1), Setting(8, 1), AUTO)),
        (_storm, 'two sources', (Setting(8), Setting(8, 1), AUTO)),
        (_crash, 'kill -9 while one is on deck', (AUTO,)),
    ):
        for setting in settings:
            label = f'{name}, {setting}'
            if stage.wanted(label):
                yield attempt(stage, label, setting)
    # Without shared storage again, nobody would find their disks.
    stage.clean()


def _rounds(
    stage: Stage, name: str, images: tuple[str, ...]
) -> Iterator[Case]:
    wanted = [s for s in SETTINGS if stage.wanted(f'{name}, {s}')]
    found: dict[Setting, list[Drain]] = {setting: [] for setting in wanted}
    servers: list[Server] = []
    for _ in range(ROUNDS):
        for setting in wanted:
            setting.apply(stage)
            if not servers:
                stage.clean()
                setting.apply(stage)
                servers = stage.boot_each([(i, SOURCE) for i in images])
            drain = _drain(stage, servers)
            found[setting].append(drain)
            whole = drain.completed == len(images) and not drain.left
            servers = (
                [stage.cloud.server(s.id) for s in servers] if whole else []
            )
    best = min(
        (_median(d) for s, d in found.items() if s.is_fixed),
        default=float('inf'),
    )
    for setting, drains in found.items():
        yield _case(f'{name}, {setting}', setting, drains, best)


def _drain(stage: Stage, servers: list[Server]) -> Drain:
    """Drain a host into the other."""
    source = servers[0].host
    target = TARGET if source == SOURCE else SOURCE
    phases = phases_lib.Phases(stage.plan, [source])
    try:
        watch = stage.watch(incoming_on=target)
        stage.migrate(servers, target)
        ended = watch.until_over(len(servers), CAP)
    finally:
        phases.stop()
    makespan = watch.elapsed if ended else None
    completed = watch.count('completed')
    if not ended:
        stage.abort_rest(watch)
    return Drain(
        makespan,
        completed,
        stage.problems(watch),
        watch.history,
        phases_lib.history(phases.heard(), watch),
    )


def _median(drains: list[Drain]) -> float:
    """Return the median of the times; one that never ends is longest."""
    times = [
        float('inf') if d.makespan is None else d.makespan for d in drains
    ]
    return statistics.median(times) if times else float('inf')


def _case(
    label: str, setting: Setting, drains: list[Drain], best: float
) -> Case:
    median, total = _median(drains), len(drains) * COUNT
    never = median == float('inf')
    completed = sum(drain.completed for drain in drains)
    left = [problem for drain in drains for problem in drain.left]
    case = Case(
        label,
        {
            'makespan (s), median': f'none in {CAP}' if never else median,
            'each round (s)': ', '.join(
                f'{d.makespan or "never"}' for d in drains
            ),
            'part of the best fixed limit': (
                '' if never or best == float('inf') else f'{median / best:.2f}'
            ),
            'completed': f'{completed} of {total}',
            'left behind': len(left),
        },
        raw={
            'history': drains[-1].history,
            'phases': drains[-1].phases,
            'rounds': [dataclasses.asdict(drain) for drain in drains],
        },
    )
    case.expect(setting.is_fixed or completed == total, 'not all completed')
    case.expect(not left, '; '.join(left))
    return case


def _watched(
    stage: Stage, label: str, sources: list[str], watch: Watch
) -> tuple[phases_lib.Phases, Callable[[dict[str, Any]], Case]]:
    """Listen to sources, and have a case made of what was heard."""
    phases = phases_lib.Phases(stage.plan, sources)

    def make(figures: dict[str, Any]) -> Case:
        phases.stop()
        left = stage.problems(watch)
        heard = phases_lib.history(phases.heard(), watch)
        case = Case(
            label,
            {**figures, 'left behind': len(left)},
            raw={'history': watch.history, 'phases': heard, 'left': left},
        )
        case.expect(not left, '; '.join(left))
        return case

    return phases, make


def _stuck(stage: Stage, label: str, setting: Setting) -> Case:
    """Drain with a guest in front that does not converge."""
    stage.clean()
    setting.apply(stage, NARROW)
    servers = stage.boot_each(
        [('dirty12', SOURCE), *[('idle', SOURCE)] * (COUNT - 1)]
    )
    watch = stage.watch()
    _, make = _watched(stage, label, [SOURCE], watch)
    stage.migrate(servers, TARGET)
    passed = watch.until_over(COUNT - 1, 2 * CAP)
    others = watch.count('completed')
    elapsed = watch.elapsed
    stage.abort_rest(watch)
    case = make(
        {
            'others completed': f'{others} of {COUNT - 1}',
            'after (s)': elapsed if passed else f'not in {2 * CAP}',
        }
    )
    stays = setting.transfers == 'auto'
    case.expect(not stays or passed, 'it held the others up')
    return case


def _storm(stage: Stage, label: str, setting: Setting) -> Case:
    """Drain two hosts into a third one."""
    first, second, target = stage.plan.compute_hosts[:3]
    stage.clean()
    setting.apply(stage)
    servers = [
        *stage.boot(EACH, 'dirty3', first),
        *stage.boot(EACH, 'dirty3', second),
    ]
    watch = stage.watch(incoming_on=target)
    _, make = _watched(stage, label, [first, second], watch)
    # In turn, so that the sources begin together.
    order = [server for n in range(EACH) for server in servers[n::EACH]]
    stage.migrate(order, target)
    ended = watch.until_over(len(servers), 2 * CAP)
    completed, makespan = watch.count('completed'), watch.elapsed
    if not ended:
        stage.abort_rest(watch)
    case = make(
        {
            'completed': f'{completed} of {len(servers)}',
            'makespan (s)': makespan if ended else f'none in {2 * CAP}',
            'incoming at once, by libvirt': watch.most_incoming,
        }
    )
    done = completed == len(servers)
    case.expect(setting.is_fixed or done, 'not all completed')
    return case


def _crash(stage: Stage, label: str, setting: Setting) -> Case:
    """Kill the source's nova-compute while a guest moves slowly."""
    stage.clean()
    setting.apply(stage)
    servers = stage.boot(COUNT, 'dirty3', SOURCE)
    watch = stage.watch()
    phases, make = _watched(stage, label, [SOURCE], watch)
    stage.migrate(servers, TARGET)
    watch.until(
        'one on deck',
        lambda w: phases_lib.DECK in phases.now(),
        PATIENCE,
        every=0.1,
    )
    computes.kill(stage.plan, SOURCE)
    watch.look()
    before, moving = watch.statuses(), watch.count('running')
    time.sleep(5)
    begin = computes.now()
    computes.start(stage.plan, SOURCE)
    computes.wait_up(stage.plan, stage.cloud, [SOURCE], begin)
    ended = watch.until_over(COUNT, 2 * CAP)
    case = make({'when killed': before, 'in the end': watch.statuses()})
    case.expect(ended, 'not all are over')
    # What moved is aborted by the next nova-compute.
    lost = COUNT - moving - watch.count('completed')
    case.expect(lost <= 0, f'{lost} that did not move yet were lost')
    return case
