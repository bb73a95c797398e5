# SPDX-License-Identifier: Apache-2.0

"""Who is measured when.

Each side in each mode has a process of its own. The sides take turns, and
take turns at going first, so that a machine that grows slower or faster
favours neither.
"""

from collections.abc import Callable
import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from nova_throttle.tests.bench import figures

OURS = 'ours'
PLAIN = 'plain'

# What has no Nova, and so no mode.
CORE = 'core'
# The value of Nova's environment variable in each mode.
MODES = {'native': '1', 'eventlet': '0'}

# Seconds until a process that hangs is ended.
TIMEOUT = 300


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured.

    :param rounds: how often each side has its turn in each mode.
    :param queue: requests whose handling and hand-over are timed.
    :param transfers: prepared ones that wait for the link.
    :param waiting: requests whose memory is measured.
    :param steps: steps of the core at each length of its queue.
    """

    rounds: int
    queue: int
    transfers: int
    waiting: int
    steps: int


SIZES = {
    'full': Size(rounds=3, queue=200, transfers=50, waiting=1000, steps=3000),
    'quick': Size(rounds=1, queue=50, transfers=20, waiting=1000, steps=500),
}

# By mode, and then by side.
Results = dict[str, dict[str, figures.Figures]]


def run(size: str, note: Callable[[str], None]) -> Results:
    """Measure everything.

    :param size: a name of SIZES.
    :param note: told what is measured, before each turn.
    :returns: the medians over all rounds.
    """
    modes = [CORE, *_modes()]
    taken: dict[str, dict[str, list[figures.Figures]]] = {
        mode: {OURS: [], PLAIN: []} for mode in modes
    }
    for number in range(SIZES[size].rounds):
        sides = (OURS, PLAIN) if number % 2 == 0 else (PLAIN, OURS)
        for mode in modes:
            for side in sides:
                note(f'round {number + 1}: {mode}, {side}')
                taken[mode][side].append(_turn(mode, side, size))
    return {
        mode: {side: figures.medians(found) for side, found in sides.items()}
        for mode, sides in taken.items()
    }


def _modes() -> list[str]:
    """Name the modes that can be had here."""
    if importlib.util.find_spec('eventlet') is None:
        return [mode for mode in MODES if mode != 'eventlet']
    return list(MODES)


def _turn(mode: str, side: str, size: str) -> figures.Figures:
    """Let one process measure.

    :raises RuntimeError: if it fails.
    """
    kind = CORE if mode == CORE else 'nova'
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore'}
    environment['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = MODES.get(mode, '1')
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / 'figures.json'
        worker = subprocess.run(
            [sys.executable, '-m', 'nova_throttle.tests.bench.worker']
            + [kind, side, size, str(path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        if worker.returncode:
            raise RuntimeError(f'{mode}, {side}:\n{worker.stderr[-8000:]}')
        found: figures.Figures = json.loads(path.read_text())
    return found
