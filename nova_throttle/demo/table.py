# SPDX-License-Identifier: Apache-2.0

"""The demo for a terminal: who is shown in the table that lives, and how.

Who matters most comes first, as the end may not fit on the screen.
"""

from collections import Counter

from rich import console
from rich import table
from rich import text

from nova_throttle.demo import records
from nova_throttle.demo import report
from nova_throttle.screen import table as table_lib

# Who comes first.
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


def draw(picture: report.Picture) -> console.RenderableType:
    """Draw a drain, what matters most first."""
    return console.Group(_gates(picture), _counts(picture), _servers(picture))


def _gates(picture: report.Picture) -> table.Table:
    """Draw the gates of each host."""
    names = [records.SOURCE, records.DESTINATION]
    if picture.limits_transfers:
        names += [records.TRANSFER_OUT, records.TRANSFER_IN]
    drawn = table_lib.grid('Gates', *(name.capitalize() for name in names))
    for host, gates in picture.gates.items():
        drawn.add_row(host, *(gates.get(name, '') for name in names))
    return drawn


def _counts(picture: report.Picture) -> text.Text:
    found = Counter(server.status for server in picture.servers)
    return table_lib.counts(found, STYLES)


def _servers(picture: report.Picture) -> table.Table:
    drawn = table_lib.grid('Server', 'From', 'To', 'Phase')
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
            text.Text(_phase(server), STYLES[server.status]),
            _waits(server),
            f'{server.waited:.1f} s' if server.waited else '',
            f'{server.took:.1f} s' if server.took else '',
        )
    return drawn


def _phase(server: records.Server) -> str:
    if server.share is None:
        return server.status
    return f'{server.status} {server.share:.0%}'


def _waits(server: records.Server) -> text.Text | str:
    if not server.waits_for:
        return ''
    return text.Text(
        f'{server.position}. {"; ".join(map(str, server.waits_for))}',
        no_wrap=True,
        overflow='ellipsis',
    )
