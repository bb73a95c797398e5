# SPDX-License-Identifier: Apache-2.0

"""The figures of both sides, next to each other and to the goals."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import math

from nova_throttle.tests.bench import figures
from nova_throttle.tests.bench import plan

# In bytes beyond the RPC arguments.
FOOTPRINT = 4096


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement: both figures, and what ours should be.

    :param plain: None of what plain Nova does not have.
    """

    measurement: str
    ours: float
    plain: float | None
    goal: str
    met: bool | None

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of plain Nova's."""
        return self.ours / self.plain if self.plain else None

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in a word."""
        return {True: 'ok', False: 'miss', None: ''}[self.met]


@dataclasses.dataclass(frozen=True)
class Line:
    """What to make a row of: a figure's name and its goal."""

    figure: str
    title: str
    goal: str = ''
    met: Callable[[float, float], bool | None] = lambda ours, plain: None


LINES = (
    Line(
        'handler.p50',
        'RPC handler, p50, ms',
        '<= 1.1 x plain',
        lambda ours, plain: ours <= 1.1 * plain,
    ),
    Line(
        'handler.p99',
        'RPC handler, p99, ms',
        '<= 1.1 x plain',
        lambda ours, plain: ours <= 1.1 * plain,
    ),
    Line('handover.p50', 'slot free -> next start, p50, ms'),
    Line(
        'handover.p99',
        'slot free -> next start, p99, ms',
        '< 10',
        lambda ours, plain: ours < 10,
    ),
    Line(
        'handover.p99',
        'slot free -> next start, p99, ms',
        '<= plain',
        lambda ours, plain: ours <= plain,
    ),
    Line(
        'transfer.p99',
        'link free -> next full speed, one source, p99, ms',
        '< 10',
        lambda ours, plain: ours < 10,
    ),
    Line(
        'between.p99',
        'link free -> next full speed, two sources, p99, ms',
        '< 50',
        lambda ours, plain: ours < 50,
    ),
    Line(
        'footprint.threads',
        '1,000 queued: threads',
        '0',
        lambda ours, plain: ours == 0,
    ),
    Line(
        'footprint.bytes',
        '1,000 queued: bytes each',
        f'< {FOOTPRINT:,}',
        lambda ours, plain: ours < FOOTPRINT,
    ),
    Line(
        'footprint.scrape',
        '1,000 queued: a scrape each 15 s, % of a CPU',
        '< 1',
        lambda ours, plain: ours < 1,
    ),
)


def rows(results: plan.Results) -> list[Row]:
    """Return all rows."""
    found: list[Row] = []
    for mode, sides in results.items():
        ours, plain = sides[plan.OURS], sides[plan.PLAIN]
        if mode == plan.CORE:
            found.extend(_core_rows(ours, plain))
        else:
            found.extend(_row(mode, line, ours, plain) for line in LINES)
    return found


def _row(
    mode: str, line: Line, ours: figures.Figures, plain: figures.Figures
) -> Row:
    found, other = ours[line.figure], plain.get(line.figure)
    met = line.met(found, other or 0)
    return Row(f'{mode}: {line.title}', found, other, line.goal, met)


def _core_rows(ours: figures.Figures, plain: figures.Figures) -> Iterator[Row]:
    """Compare each length of the queue with the shortest."""
    shortest: dict[tuple[str, str], str] = {}
    for name in ours:
        _, verb, length, lanes = name.split('.')
        base = shortest.setdefault((verb, lanes), name)
        allowed = math.log(int(length)) / math.log(int(base.split('.')[2]))
        growth = ours[name] / ours[base]
        title = f'core: {verb}, {int(length):,} queued, us'
        if int(lanes) > 1:
            title += f' ({lanes} gate sets)'
        is_base = name == base
        yield Row(
            title,
            ours[name],
            plain[name],
            '' if is_base else f'grew {growth:.2f} <= {allowed:.2f}',
            None if is_base else growth <= allowed,
        )


def table(found: list[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [['measurement', 'ours', 'plain', 'ratio', 'goal', '']]
    for row in found:
        ratio = '-' if row.ratio is None else f'{row.ratio:.2f}'
        plain = '-' if row.plain is None else _number(row.plain)
        numbers = [_number(row.ours), plain, ratio]
        cells.append([row.measurement, *numbers, row.goal, row.verdict])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join(_line(line, widths) for line in cells)


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [
        cell.rjust(width) if 1 <= index <= 3 else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return '  '.join(padded).rstrip()


def _number(value: float) -> str:
    return f'{value:,.0f}' if value == 0 or value >= 100 else f'{value:.3g}'
