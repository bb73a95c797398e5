# SPDX-License-Identifier: Apache-2.0

"""A drain in words, and in plain lines where there is no terminal.

A line is written when something has changed, and not before.
"""

from typing import TextIO

from nova_throttle.drain import drain
from nova_throttle.drain import progress as progress_lib
from nova_throttle.screen import lines

GIB = 1024


class Lines(lines.Lines[drain.Picture]):
    """One line for each change.

    :param stream: where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._told = ''

    def picture(self, picture: drain.Picture) -> None:
        """Tell of what has happened, and how far it is by now."""
        for note in picture.notes:
            self.say(note)
        counts = in_words(picture.progress)
        if counts != self._told:
            self._told = counts
            self.say(f'{counts}; {rest(picture.progress)}')


def counted(progress: progress_lib.Progress) -> dict[str, int]:
    """Return how many servers there are of each kind."""
    return {
        'moved': progress.moved,
        'on the wire': progress.on_the_wire,
        'preparing': progress.preparing,
        'queued': progress.queued,
        'failed': progress.failed,
        'left': progress.left,
    }


def in_words(progress: progress_lib.Progress) -> str:
    """Say how many servers there are of each kind."""
    found = counted(progress)
    return ', '.join(f'{number} {name}' for name, number in found.items())


def rest(progress: progress_lib.Progress) -> str:
    """Say how much is left to move, and how long that may take."""
    text = f'{progress.memory / GIB:.1f} GiB left to move'
    if progress.rate:
        text += f' at {progress.rate:.0f} MiB/s'
    if progress.memory and progress.eta is not None:
        text += f', done in about {duration(progress.eta)}'
    return text


def duration(seconds: float) -> str:
    """Say a time in words of a person."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'
