# SPDX-License-Identifier: Apache-2.0

"""One side in one mode, in a process of its own.

Nova chooses its threading mode when it is first imported; the environment
says which.
"""

import importlib
import json
import pathlib
import sys
from typing import Any

from nova_throttle.tests.bench import figures
from nova_throttle.tests.bench import plan


def main() -> None:
    """Measure what the arguments say and write the figures to a file."""
    kind, side, size, path = sys.argv[1:]
    measure = _core if kind == plan.CORE else _nova
    found = measure(side == plan.OURS, plan.SIZES[size])
    pathlib.Path(path).write_text(json.dumps(found))


def _core(ours: bool, size: plan.Size) -> figures.Figures:
    core = _module('core')
    measure = core.measure_ours if ours else core.measure_nova
    found: figures.Figures = measure(size.steps)
    return found


def _nova(ours: bool, size: plan.Size) -> figures.Figures:
    # Its import patches what the mode needs: before anything of Nova.
    importlib.import_module('nova_throttle.tests.functional')
    found: figures.Figures = _module('cloud').run(
        ours,
        lambda cloud: {
            **_queue(cloud, size.queue),
            **_module('footprint').measure(cloud, size.waiting),
        },
    )
    if ours:
        found |= _module('transfer').measure(size.transfers)
    return found


def _queue(cloud: Any, count: int) -> figures.Figures:
    handover = _module('handover')
    stage = _module('cloud').Stage(handover.WORK)
    with cloud.queue(stage):
        found = _module('handler').measure(cloud, count)
    return {**found, **handover.measure(stage)}


def _module(name: str) -> Any:
    return importlib.import_module(f'nova_throttle.tests.bench.{name}')


if __name__ == '__main__':
    main()
