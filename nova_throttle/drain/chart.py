# SPDX-License-Identifier: Apache-2.0

"""The picture of a drain: one self-contained file, SVG or HTML.

It loads nothing and runs nothing; names of servers are text in it, whatever
they contain.
"""

from collections.abc import Iterator
import datetime
from xml.sax import saxutils

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import timeline
from nova_throttle.drain import view

COLOURS = {
    timeline.QUEUED: '#f3e2b3',
    timeline.GATE: '#e0b04c',
    timeline.CHECKS: '#9fb3c8',
    timeline.PREPARING: '#7cc4cf',
    timeline.LINK: '#c9a3dd',
    timeline.WIRE: '#2563a8',
    timeline.FINISHING: '#6aa56a',
    timeline.ROLLBACK: '#d98b3a',
}
# What is waited through is drawn below what is done.
_FLAT = (timeline.QUEUED,)

LABEL, WIDTH, RESULT = 200, 860, 180
TOP, ROW, BAR = 84, 22, 14
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
FONT = 'font-family="sans-serif" font-size="12"'


def svg(title: str, rows: list[timeline.Row]) -> str:
    """Draw a drain.

    :param title: what it is.
    :param rows: its servers; at least one.
    """
    begin = min(row.attempts[0].begin for row in rows)
    end = max(each.end for row in rows for each in row.attempts)
    scale = _Scale(begin, end)
    height = TOP + ROW * len(rows) + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'width="{LABEL + WIDTH + RESULT}" height="{height}" '
        f'viewBox="0 0 {LABEL + WIDTH + RESULT} {height}" {FONT}>',
        f'<title>{_text(title)}</title>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="8" y="22" font-size="16">{_text(title)}</text>',
        *_legend(),
        *_axis(scale, height),
    ]
    for number, row in enumerate(rows):
        lines += _row(row, TOP + ROW * number, scale)
    return '\n'.join([*lines, '</svg>', ''])


def html(title: str, rows: list[timeline.Row]) -> str:
    """Draw a drain, with a table of it below."""
    body = '\n'.join(_table_row(row) for row in rows)
    heads = ('Server', 'Attempts', 'Destination', 'Took', 'Result', 'Reason')
    head = ''.join(f'<th>{each}</th>' for each in heads)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{_text(title)}</title>
<style>
body {{ font-family: sans-serif; margin: 1em; background: #ffffff }}
table {{ border-collapse: collapse; font-size: 13px; margin-top: 1em }}
td, th {{ text-align: left; padding: 2px 12px 2px 0 }}
</style>
</head>
<body>
{svg(title, rows)}
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""


class _Scale:
    """Where a time is."""

    def __init__(
        self, begin: datetime.datetime, end: datetime.datetime
    ) -> None:
        self.begin = begin
        self.seconds = max((end - begin).total_seconds(), 1.0)

    def x(self, when: datetime.datetime) -> float:
        seconds = (when - self.begin).total_seconds()
        return LABEL + WIDTH * min(max(seconds / self.seconds, 0), 1)

    def ticks(self) -> Iterator[datetime.datetime]:
        """Return about eight round times."""
        step = next((s for s in STEPS if self.seconds / s <= 9), 14400)
        while self.seconds / step > 9:
            step *= 2
        first = -self.begin.timestamp() % step
        for number in range(10):
            seconds = first + number * step
            if seconds <= self.seconds:
                yield self.begin + datetime.timedelta(seconds=seconds)


def _legend() -> Iterator[str]:
    x = 8
    for phase, colour in COLOURS.items():
        yield f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="46">{phase}</text>'
        x += 36 + 7 * len(phase)


def _axis(scale: _Scale, height: int) -> Iterator[str]:
    for when in scale.ticks():
        x = f'{scale.x(when):.1f}'
        yield (
            f'<line x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{height - 24}" '
            'stroke="#dddddd"/>'
        )
        yield (
            f'<text x="{x}" y="{TOP - 12}" text-anchor="middle" '
            f'fill="#555555">{when:%H:%M:%S}</text>'
        )
    date = f'{scale.begin:%Y-%m-%d} UTC'
    yield f'<text x="8" y="{TOP - 12}" fill="#555555">{date}</text>'


def _row(row: timeline.Row, y: int, scale: _Scale) -> Iterator[str]:
    yield f'<text x="8" y="{y + 12}">{_text(_short(row.name, 28))}</text>'
    for attempt in row.attempts:
        for span in sorted(attempt.spans, key=lambda s: s.phase not in _FLAT):
            yield _bar(span, y, scale)
    last = row.attempts[-1]
    good = last.status in facts_lib.COMPLETED
    colour = '#2e7d32' if good else '#b3261e'
    if not good and last.status not in facts_lib.OVER:
        colour = '#555555'
    yield (
        f'<text x="{scale.x(last.end) + 6:.1f}" y="{y + 12}" '
        f'fill="{colour}">{_text(_short(_result(last), 32))}</text>'
    )
    for attempt in row.attempts[:-1]:
        yield _failure(attempt, y, scale)


def _bar(span: timeline.Span, y: int, scale: _Scale) -> str:
    x = scale.x(span.begin)
    width = max(scale.x(span.end) - x, 1.0)
    seconds = view.duration((span.end - span.begin).total_seconds())
    note = f' ({span.note})' if span.note else ''
    flat = span.phase in _FLAT
    return (
        f'<rect x="{x:.1f}" y="{y + 4 if flat else y}" width="{width:.1f}" '
        f'height="{BAR - 8 if flat else BAR}" fill="{COLOURS[span.phase]}">'
        f'<title>{_text(f"{span.phase}, {seconds}{note}")}</title></rect>'
    )


def _failure(attempt: timeline.Attempt, y: int, scale: _Scale) -> str:
    """Mark the end of an attempt that was not the last."""
    x = scale.x(attempt.end)
    return (
        f'<path d="M{x - 4:.1f} {y + 3} l8 8 m0 -8 l-8 8" '
        'stroke="#b3261e" stroke-width="2" fill="none">'
        f'<title>{_text(_result(attempt))}</title></path>'
    )


def _result(attempt: timeline.Attempt) -> str:
    if attempt.status in facts_lib.COMPLETED:
        return f'to {attempt.destination}'
    reason = f': {attempt.reason}' if attempt.reason else ''
    return f'{attempt.status}{reason}'


def _table_row(row: timeline.Row) -> str:
    last = row.attempts[-1]
    took = (last.end - row.attempts[0].begin).total_seconds()
    cells = (
        *(row.name, str(len(row.attempts)), last.destination),
        *(view.duration(took), last.status, last.reason),
    )
    return f'<tr>{"".join(f"<td>{_text(c)}</td>" for c in cells)}</tr>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f'{text[: most - 1]}…'


def _text(text: str) -> str:
    """Return text as it has to be written in XML."""
    printable = ''.join(c if c.isprintable() else '?' for c in text)
    return saxutils.escape(printable, {'"': '&quot;'})
