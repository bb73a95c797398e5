# SPDX-License-Identifier: Apache-2.0

"""The demo for a terminal: a table that lives.

What is told last stays on the screen, and the terminal is left as it was
found, whatever happens.
"""

from collections import Counter
from typing import TextIO

from rich import box
from rich import console
from rich import live
from rich import table
from rich import text

from nova_throttle.demo import lines
from nova_throttle.demo import records
from nova_throttle.demo import report

# Who comes first, as the end may not fit on the screen.
STYLES = {
    'error': 'bold red',
    'failed': 'bold red',
    'cancelled': 'red',
    'running': 'bold blue',
    'finishing': 'blue',
    'prepared': 'bold cyan',
    'preparing': 'cyan',
    'queued': 'yellow',
    'asked': 'dim',
    'completed': 'green',
}
ORDER = list(STYLES)


class Table(lines.Lines):
    """Plain lines for what is done, and a table below that lives.

    :param stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        # It is drawn by whoever calls us, and what Nova writes is no part.
        self._live = live.Live(
            console=console.Console(file=stream, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> 'Table':
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def picture(self, picture: report.Picture) -> None:
        """Show the drain."""
        self._live.update(draw(picture), refresh=True)

    def _write(self, line: str) -> None:
        self._live.console.print(line, markup=False)


def draw(picture: report.Picture) -> console.RenderableType:
    """Draw a drain, what matters most first."""
    return console.Group(_gates(picture), _counts(picture), _servers(picture))


def _gates(picture: report.Picture) -> table.Table:
    """Draw the gates of each host."""
    names = [records.SOURCE, records.DESTINATION]
    if picture.limits_transfers:
        names += [records.TRANSFER_OUT, records.TRANSFER_IN]
    drawn = _table('Gates', *(name.capitalize() for name in names))
    for host, gates in picture.gates.items():
        drawn.add_row(host, *(gates.get(name, '') for name in names))
    return drawn


def _counts(picture: report.Picture) -> text.Text:
    found = Counter(server.status for server in picture.servers)
    return text.Text('   ').join(
        text.Text(f'{found[status]} {status}', style)
        for status, style in STYLES.items()
        if found[status]
    )


def _servers(picture: report.Picture) -> table.Table:
    drawn = _table('Server', 'From', 'To', 'Phase')
    # The one column that gives way in a narrow terminal.
    drawn.add_column('Waits For')
    for name in ('Waited', 'Took'):
        drawn.add_column(name, justify='right', no_wrap=True)
    for server in sorted(
        picture.servers, key=lambda s: (ORDER.index(s.status), s.position)
    ):
        drawn.add_row(
            server.name,
            server.source,
            server.destination,
            text.Text(server.status, STYLES[server.status]),
            _waits(server),
            f'{server.waited:.1f} s' if server.waited else '',
            f'{server.took:.1f} s' if server.took else '',
        )
    return drawn


def _table(*names: str) -> table.Table:
    drawn = table.Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for name in names:
        drawn.add_column(name, no_wrap=True)
    return drawn


def _waits(server: records.Server) -> text.Text | str:
    if not server.waits_for:
        return ''
    return text.Text(
        f'{server.position}. {"; ".join(map(str, server.waits_for))}',
        no_wrap=True,
        overflow='ellipsis',
    )
