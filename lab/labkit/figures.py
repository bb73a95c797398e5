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

"""Figures of the documentation, made from raw data and nothing else.

A table for each scenario, as CSV, and one of when and with what each was
measured; and pictures of drains, as SVG: when each server was queued,
preparing and running, or in which phase it was.
"""

import csv
import pathlib
from typing import Any
from xml.sax import saxutils

from labkit import phases
from labkit import results

# Blue and orange differ for every eye; queued is what is not yet anything.
COLOURS = {'queued': '#d9d9d9', 'preparing': '#e69f00', 'running': '#0072b2'}
PHASES = {
    phases.WAITING: '#d9d9d9',
    phases.PREPARING: '#e69f00',
    phases.PREPARED: '#f0e442',
    phases.DECK: '#56b4e9',
    phases.WIRE: '#0072b2',
    phases.FINISHING: '#999999',
}
# What a picture shows, by its scenario: the history, and its colours.
PICTURES = {'drain': ('history', COLOURS), 'link': ('phases', PHASES)}
WIDTH, LEFT, RIGHT, LANE, HEAD, FOOT = 720, 60, 20, 18, 34, 40
Bar = tuple[int, str, float, float]


def write(place: pathlib.Path, target: pathlib.Path) -> list[pathlib.Path]:
    """Write all figures for which there is data.

    :param place: the directory of the results.
    :param target: the directory of the figures.
    :returns: the files.
    """
    target.mkdir(parents=True, exist_ok=True)
    written = [
        _write_table(place, name, target / f'{name}.csv')
        for name in scenarios(place)
    ]
    written.append(_write_runs(place, target / 'runs.csv'))
    for scenario in PICTURES:
        for label, picture in _pictures(place, scenario):
            path = target / f'{scenario}-{_slug(label)}.svg'
            path.write_text(picture)
            written.append(path)
    return written


def scenarios(place: pathlib.Path) -> list[str]:
    """Return the names of the scenarios that have results."""
    names = {path.stem.rpartition('-')[0] for path in place.glob('*.json')}
    return sorted(names)


def _slug(label: str) -> str:
    letters = (char if char.isalnum() else '-' for char in label.lower())
    return '-'.join(part for part in ''.join(letters).split('-') if part)


def _write_table(
    place: pathlib.Path, name: str, path: pathlib.Path
) -> pathlib.Path:
    with path.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['Case', 'Figure', *results.MODES.values()])
        writer.writerows(results.compare(place, name))
    return path


def _write_runs(place: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    with path.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['Command', 'When (UTC)', 'Versions'])
        for name in scenarios(place):
            for mode in results.MODES:
                cases = results.load(place, name, mode).get('cases', {})
                writer.writerows(_runs(list(cases.values())))
    return path


def _runs(cases: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return what cases were measured with, each combination once."""
    dates: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        # A commit may change nothing that was measured; the files have it.
        words = ', '.join(
            f'{name} {version}'
            for name, version in sorted(case['versions'].items())
            if name != 'commit'
        )
        key = case['command'], words
        dates.setdefault(key, []).append(case['date'])
    return [
        (command, _span(at), words) for (command, words), at in dates.items()
    ]


def _span(dates: list[str]) -> str:
    first, last = (
        date[:16].replace('T', ' ') for date in (min(dates), max(dates))
    )
    return first if first == last else f'{first} to {last[11:]}'


def _pictures(place: pathlib.Path, scenario: str) -> list[tuple[str, str]]:
    key, colours = PICTURES[scenario]
    both = {
        mode: results.load(place, scenario, mode).get('cases', {})
        for mode in results.MODES
    }
    labels = dict.fromkeys(label for cases in both.values() for label in cases)
    return [
        (
            label,
            gantt(
                label,
                {
                    mode: cases[label]['raw'][key]
                    for mode, cases in both.items()
                    if label in cases
                },
                colours,
            ),
        )
        for label in labels
    ]


def gantt(
    label: str,
    histories: dict[str, list[dict[str, Any]]],
    colours: dict[str, str] = COLOURS,
) -> str:
    """Return a picture of one case, a panel for each mode.

    :param histories: by mode, each change of a status.
    :param colours: of each status that is shown.
    """
    end = max((x['at'] for h in histories.values() for x in h), default=0)
    parts: list[str] = []
    # Many colours have a line of their own.
    first = top = HEAD if len(colours) < 4 else HEAD + LANE
    for mode, history in histories.items():
        bars = _bars(history, colours)
        count = 1 + max((lane for lane, *_ in bars), default=0)
        parts += _panel(results.MODES[mode], bars, colours, top, end)
        top += HEAD + count * LANE
    parts += _axis(first, top - HEAD + 8, end)
    parts.append(_text(LEFT, 18, label, 'start', 'bold'))
    parts += _legend(colours, first - 16)
    return _svg(parts, top + FOOT - HEAD + 8)


def _bars(history: list[dict[str, Any]], colours: dict[str, str]) -> list[Bar]:
    """Return lane, status, begin and end of what a picture shows."""
    lanes: dict[int, int] = {}
    open_: dict[int, tuple[str, float]] = {}
    bars = []
    for line in history:
        lane = lanes.setdefault(line['id'], len(lanes))
        if lane in open_:
            status, begin = open_.pop(lane)
            bars.append((lane, status, begin, line['at']))
        if line['status'] in colours:
            open_[lane] = (line['status'], line['at'])
    last = history[-1]['at'] if history else 0
    bars += [(lane, s, begin, last) for lane, (s, begin) in open_.items()]
    return bars


def _panel(
    title: str,
    bars: list[Bar],
    colours: dict[str, str],
    top: int,
    end: float,
) -> list[str]:
    parts = [_text(LEFT, top + 12, title, 'start', 'bold')]
    for lane in sorted({lane for lane, *_ in bars}):
        y = top + 20 + lane * LANE + 12
        parts.append(_text(LEFT - 8, y, f'{lane + 1}', 'end'))
    for lane, status, begin, finish in bars:
        x, y = _x(begin, end), top + 20 + lane * LANE
        width = max(_x(finish, end) - x, 1)
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" '
            f'height="{LANE - 4}" fill="{colours[status]}"/>'
        )
    return parts


def _x(at: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * at / max(end, 1)


def _axis(top: int, y: int, end: float) -> list[str]:
    step = next(s for s in (5, 10, 20, 50, 100, 1000) if end / s <= 10)
    parts = []
    for at in range(0, int(end) + 1, step):
        x = _x(at, end)
        parts.append(
            f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{y}" '
            'stroke="#00000022"/>'
        )
        parts.append(_text(x, y + 14, f'{at} s', 'middle'))
    return parts


def _legend(colours: dict[str, str], y: int) -> list[str]:
    """Return the names of the colours, from the right."""
    parts = []
    x = WIDTH - RIGHT
    for status, colour in reversed(colours.items()):
        x -= 34 + 6 * len(status)
        parts.append(
            f'<rect x="{x}" y="{y - 10}" width="12" height="12" '
            f'fill="{colour}"/>'
        )
        parts.append(_text(x + 16, y, status, 'start'))
    return parts


def _text(
    x: float, y: float, words: str, anchor: str, weight: str = 'normal'
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{saxutils.escape(words)}</text>'
    )


def _svg(parts: list[str], height: int) -> str:
    body = '\n'.join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f'{body}\n</svg>\n'
    )
