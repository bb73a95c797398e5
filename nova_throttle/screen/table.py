# SPDX-License-Identifier: Apache-2.0

"""A table that lives, on a terminal.

What is told last stays on the screen, and the terminal is left as it was
found, whatever happens.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import TextIO
from typing import TypeVar

from rich import box
from rich import console
from rich import live
from rich import table
from rich import text

from nova_throttle.screen import lines

P = TypeVar('P')


class Table(lines.Lines[P]):
    """Plain lines for what is done, and a table below that lives.

    :param stream: the terminal.
    :param draw: makes the table of a picture.
    """

    def __init__(
        self, stream: TextIO, draw: Callable[[P], console.RenderableType]
    ) -> None:
        super().__init__(stream)
        self._draw = draw
        # It is drawn by whoever calls us, and what others write is no part.
        self._live = live.Live(
            console=console.Console(file=stream, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> 'Table[P]':
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def picture(self, picture: P) -> None:
        """Show what is true now."""
        self._live.update(self._draw(picture), refresh=True)

    def _write(self, line: str) -> None:
        self._live.console.print(line, markup=False)


def grid(*names: str) -> table.Table:
    """Return an empty table whose columns give no way."""
    drawn = table.Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for name in names:
        drawn.add_column(name, no_wrap=True)
    return drawn


def counts(found: Mapping[str, int], styles: Mapping[str, str]) -> text.Text:
    """Say how many there are of each kind, in the order of the styles."""
    return text.Text('   ').join(
        text.Text(f'{found[name]} {name}', style)
        for name, style in styles.items()
        if found.get(name)
    )
