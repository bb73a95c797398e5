# SPDX-License-Identifier: Apache-2.0

"""Whether nova-compute would find us: is its Python the one that has us?

Nothing is run and no process is looked at: what a program's first line says
is what its next start has.
"""

from collections.abc import Iterator
from importlib import metadata
import os
import shutil
import sys

PROGRAM = 'nova-compute'

# Where os-vif looks for plugins, and what we are called there.
GROUP = 'os_vif'
NAME = 'nova_throttle'


def problems() -> Iterator[str]:
    """Say why a nova-compute of this host would not load us, if so."""
    if not metadata.entry_points(group=GROUP, name=NAME):
        yield (
            f'the Python {sys.executable} has our files but not our metadata: '
            'install the package'
        )
    here = os.path.dirname(sys.executable)
    if os.path.exists(os.path.join(here, PROGRAM)):
        return
    program = shutil.which(PROGRAM)
    if program is None:
        yield f'there is no {PROGRAM} beside {sys.executable}'
        return
    python = _interpreter(program)
    if python and _folder(python) != _folder(sys.executable):
        yield (
            f'{program} runs {python}, and this is {sys.executable}: install '
            'nova-throttle there'
        )


def _interpreter(program: str) -> str | None:
    """Return what the first line of a script names, None if it is none."""
    with open(program, 'rb') as script:
        first = os.fsdecode(script.readline())
    words = first.removeprefix('#!').split()
    if not first.startswith('#!') or not words:
        return None
    if os.path.basename(words[0]) == 'env':
        return shutil.which(words[-1])
    return words[0]


def _folder(python: str) -> str:
    """Return what tells environments apart: all link to one interpreter."""
    return os.path.realpath(os.path.dirname(python))
