# SPDX-License-Identifier: Apache-2.0

"""Plain lines for a pipe or a file, each with the seconds since the start.

No control characters, and nothing is ever taken back.
"""

import abc
import os
import time
from typing import Generic
from typing import TextIO
from typing import TypeVar

P = TypeVar('P')


def is_terminal(stream: TextIO) -> bool:
    """Tell whether more than plain lines can be shown on a stream."""
    return stream.isatty() and os.environ.get('TERM') not in (None, 'dumb')


class Lines(abc.ABC, Generic[P]):
    """Shows what goes on.

    :param stream: where it is shown.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()

    def __enter__(self) -> 'Lines[P]':
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is to be put back."""

    def say(self, text: str) -> None:
        """Tell of anything."""
        seconds = time.monotonic() - self._began
        self._write(f'{seconds:7.1f}  {text}')

    @abc.abstractmethod
    def picture(self, picture: P) -> None:
        """Show what is true now."""

    def _write(self, line: str) -> None:
        self._stream.write(f'{line}\n')
        self._stream.flush()
