# SPDX-License-Identifier: Apache-2.0

"""A drain on a terminal: what moves comes first, then what is left.

Needs rich, which is an extra of the package.
"""

from rich import console
from rich import text

from nova_throttle.drain import drain
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import view
from nova_throttle.screen import table as table_lib

STYLES = {
    'moved': 'green',
    'on the wire': 'bold blue',
    'preparing': 'cyan',
    'queued': 'yellow',
    'failed': 'bold red',
    'left': 'bold',
}
# Of those that wait, so many fit on a screen.
ROWS = 20


def draw(picture: drain.Picture) -> console.RenderableType:
    """Draw a drain."""
    progress = picture.progress
    return console.Group(
        *(text.Text(note, 'dim') for note in picture.notes),
        _servers(picture),
        table_lib.counts(view.counted(progress), STYLES),
        text.Text(view.rest(progress)),
    )


def _servers(picture: drain.Picture) -> console.RenderableType:
    drawn = table_lib.grid('Server', 'Status', 'To', 'Migration', 'Sent')
    names = {server.uuid: server for server in picture.facts.servers}
    moving = sorted(picture.facts.moving().values(), key=_how_far)
    for each in moving[:ROWS]:
        server = names.get(each.server)
        drawn.add_row(
            server.name if server else each.server,
            server.status if server else '',
            each.destination,
            each.status,
            _sent(picture.facts, each),
        )
    if len(moving) > ROWS:
        drawn.add_row(f'and {len(moving) - ROWS} more')
    return drawn


def _how_far(migration: facts_lib.Migration) -> tuple[int, int]:
    order = ('post-migrating', 'running', 'preparing', 'queued')
    status = migration.status
    return order.index(status) if status in order else 9, migration.id


def _sent(facts: facts_lib.Facts, migration: facts_lib.Migration) -> str:
    transfer = facts.transfers.get(migration.id)
    if transfer is None or not transfer.total:
        return ''
    return f'{100 * (1 - transfer.remaining / transfer.total):.0f} %'
