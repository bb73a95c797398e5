# SPDX-License-Identifier: Apache-2.0

"""What became of each test, in a file that outlives its writer.

A line is a test and its outcome; the last one of a test counts.
"""

import json
import pathlib

NEVER_ENDED = 'failed\nIt never ended.'


def note(path: pathlib.Path, test: str, outcome: str) -> None:
    with path.open('a') as out:
        out.write(json.dumps([test, outcome]) + '\n')


def read(path: pathlib.Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text().splitlines())
