# SPDX-License-Identifier: Apache-2.0

"""Measure nova-throttle against plain Nova, and print a table.

Figures are printed and never asserted: the exit status is 0 if it ran.
"""

import argparse
import dataclasses
import datetime
from importlib import metadata
import json
import os
import pathlib
import platform
import sys
from typing import Any

from nova_throttle.tests.bench import plan
from nova_throttle.tests.bench import report


def main() -> None:
    """Run the benchmark."""
    arguments = _parser().parse_args()
    size = 'quick' if arguments.quick else 'full'
    setting = _setting(size)
    print('\n'.join(f'{name}: {value}' for name, value in setting.items()))
    results = plan.run(size, _note)
    rows = report.rows(results)
    print(f'\n{report.table(rows)}')
    if arguments.json:
        _write(arguments.json, setting, rows, results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m nova_throttle.tests.bench', description=__doc__
    )
    parser.add_argument(
        '--quick', action='store_true', help='one round, and fewer requests'
    )
    parser.add_argument(
        '--json',
        type=pathlib.Path,
        metavar='FILE',
        help='also write the figures to a file',
    )
    return parser


def _setting(size: str) -> dict[str, str]:
    """Say when, where and with what this is measured."""
    now = datetime.datetime.now(datetime.timezone.utc)
    load = ', '.join(f'{value:.1f}' for value in os.getloadavg())
    return {
        'date': now.isoformat(timespec='seconds'),
        'nova-throttle': metadata.version('nova-throttle'),
        'nova': metadata.version('nova'),
        'python': platform.python_version(),
        'cpus': f'{os.cpu_count()} (load {load})',
        'size': f'{size}, medians over {plan.SIZES[size].rounds} round(s)',
    }


def _note(text: str) -> None:
    print(f'... {text}', file=sys.stderr, flush=True)


def _write(
    path: pathlib.Path,
    setting: dict[str, str],
    rows: list[report.Row],
    results: plan.Results,
) -> None:
    found: dict[str, Any] = {
        'setting': setting,
        'rows': [
            {**dataclasses.asdict(row), 'ratio': row.ratio} for row in rows
        ],
        'medians': results,
    }
    path.write_text(json.dumps(found, indent=2) + '\n')


if __name__ == '__main__':
    main()
