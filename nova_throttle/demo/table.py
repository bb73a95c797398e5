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

"""The demo for a terminal: a table that lives.

What is told last stays on the screen, and the terminal is left as it was
found, whatever happens.
"""

from collections.abc import Iterator
from collections import Counter
import sys
import time

from rich import box
from rich import console as rich_console
from rich import live
from rich import markup
from rich import panel
from rich import progress_bar
from rich import spinner
from rich import table
from rich import text

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import report

STYLES = {
    'asked': 'dim',
    'queued': 'yellow',
    'preparing': 'cyan',
    'running': 'bold blue',
    'completed': 'green',
    'cancelled': 'red',
    'failed': 'bold red',
    'error': 'bold red',
}
# Who has to be seen when not all fit: the earlier, the sooner.
IMPORTANCE = ('error', 'failed', 'cancelled', 'running', 'preparing')
# Lines beside those of the servers and of the hosts.
FRAME = 11
FEWEST = 3
BAR_WIDTH = 16


class Table:
    """A live table."""

    def __init__(self) -> None:
        self._console = rich_console.Console(file=sys.stdout, highlight=False)
        # It is drawn by whoever calls us: no thread has to be ended.
        self._live = live.Live(
            console=self._console, auto_refresh=False, transient=True
        )
        self._step: report.Step | None = None
        self._began = time.monotonic()
        self._spinner = spinner.Spinner('dots', style='cyan')
        self._picture: report.Picture | None = None

    def __enter__(self) -> 'Table':
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def tick(self) -> None:
        """Let the spinner and the clock go on."""
        if self._step is not None:
            self._draw()

    def step(self, step: report.Step) -> None:
        """Show a step; the one before it is done."""
        if self._step is None or self._step.text != step.text:
            self._end_step()
            self._began = time.monotonic()
        self._step = step
        self._draw()

    def picture(self, picture: report.Picture) -> None:
        """Show the drain."""
        self._picture = picture
        self._draw()

    def summary(self, summary: report.Summary) -> None:
        """Show how it went, below the drain's last picture."""
        self._end_step()
        self._live.update(text.Text(''), refresh=True)
        if self._picture is not None:
            self._console.print(draw(self._picture, None))
        grid = table.Table.grid(padding=(0, 2))
        for name, value in summary.lines():
            grid.add_row(text.Text(name, style='bold'), value)
        self._console.print(
            panel.Panel(
                grid,
                title='All as it must be'
                if summary.succeeded
                else 'Not as it must be',
                border_style='green' if summary.succeeded else 'red',
                expand=False,
            )
        )

    def _end_step(self) -> None:
        if self._step is None:
            return
        seconds = time.monotonic() - self._began
        self._console.print(
            f'[green]done[/]  {markup.escape(self._step.text)}'
            f'  [dim]{seconds:.1f} s[/]'
        )
        self._step = None

    def _draw(self) -> None:
        parts: list[rich_console.RenderableType] = []
        if self._picture is not None:
            parts.append(draw(self._picture, self._console.height))
        if self._step is not None:
            parts.append(self._moving_step(self._step))
        self._live.update(rich_console.Group(*parts), refresh=True)

    def _moving_step(self, step: report.Step) -> rich_console.RenderableType:
        seconds = time.monotonic() - self._began
        count = f'  {step.done} of {step.total}' if step.total else ''
        self._spinner.update(
            text=text.Text(f' {step.text}{count}  {seconds:.0f} s')
        )
        return self._spinner


def draw(
    picture: report.Picture, height: int | None
) -> rich_console.RenderableType:
    """Draw a drain in so many lines, or in as many as it takes."""
    shown = picture.servers
    if height is not None:
        hosts = len({gate.host for gate in picture.gates})
        shown = fitting(shown, max(FEWEST, height - FRAME - hosts))
    drawn = table.Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in ('Server', 'From', 'To', 'Status'):
        drawn.add_column(name, no_wrap=True)
    # The one column that gives way in a narrow terminal.
    drawn.add_column('', min_width=BAR_WIDTH)
    for name in ('Waited', 'Took'):
        drawn.add_column(name, justify='right', no_wrap=True)
    for server in shown:
        drawn.add_row(*_row(server))
    return rich_console.Group(
        drawn,
        _rest(picture.servers, shown),
        _counts(picture.servers),
        _gates(picture.gates),
    )


def fitting(
    servers: tuple[report.Server, ...], room: int
) -> tuple[report.Server, ...]:
    """Choose who is shown if not all can be: in their order."""

    def importance(server: report.Server) -> tuple[int, int]:
        if server.status in IMPORTANCE:
            return IMPORTANCE.index(server.status), 0
        if server.status == 'completed':
            return len(IMPORTANCE) + 1, 0
        return len(IMPORTANCE), server.position or len(servers)

    chosen = sorted(servers, key=importance)[:room]
    return tuple(server for server in servers if server in chosen)


def _row(server: report.Server) -> tuple[rich_console.RenderableType, ...]:
    return (
        server.name,
        server.source,
        server.destination,
        text.Text(server.status, STYLES.get(server.status, '')),
        _what(server),
        f'{server.waited:.1f} s' if server.waited else '',
        f'{server.took:.1f} s' if server.took else '',
    )


def _what(server: report.Server) -> rich_console.RenderableType:
    """Draw what a server waits for, or how far it has come."""
    if server.waits_for:
        return text.Text(
            f'{server.position}. {"; ".join(_waits(server))}',
            style='yellow',
            no_wrap=True,
            overflow='ellipsis',
        )
    if server.status in ('running', 'completed'):
        return progress_bar.ProgressBar(
            total=1.0, completed=server.progress, width=BAR_WIDTH
        )
    return ''


def _waits(server: report.Server) -> Iterator[str]:
    """Say in a few words what a server waits for."""
    for wait in server.waits_for:
        host = wait.host or server.source
        position = f', position {wait.position}' if wait.position else ''
        if wait.reason is snapshot_lib.WaitReason.GATE_FULL:
            yield f'{host} full{position}'
        elif wait.gate:
            yield f'{host}: {wait.reason.value}{position}'
        else:
            yield wait.reason.value


def _rest(
    servers: tuple[report.Server, ...], shown: tuple[report.Server, ...]
) -> rich_console.RenderableType:
    hidden = Counter(each.status for each in servers if each not in shown)
    return text.Text(
        ', '.join(f'{count} more {name}' for name, count in hidden.items()),
        style='dim',
    )


def _counts(servers: tuple[report.Server, ...]) -> text.Text:
    found = Counter(server.status for server in servers)
    return text.Text('   ').join(
        text.Text(f'{found[name]} {name}', style)
        for name, style in STYLES.items()
        if found[name]
    )


def _gates(gates: tuple[report.Gate, ...]) -> table.Table:
    """Draw the gates of each host."""
    drawn = table.Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0)
    )
    names = list(dict.fromkeys(gate.name for gate in gates))
    for title in ('Gates', *(name.capitalize() for name in names)):
        drawn.add_column(title, no_wrap=True)
    for host in dict.fromkeys(gate.host for gate in gates):
        found = {gate.name: gate for gate in gates if gate.host == host}
        drawn.add_row(host, *(_gate(found.get(name)) for name in names))
    return drawn


def _gate(gate: report.Gate | None) -> text.Text:
    if gate is None:
        return text.Text('')
    return text.Text(str(gate), 'dim' if gate.idle else '')
