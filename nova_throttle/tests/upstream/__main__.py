# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Run Nova's tests on plain Nova and with us, and compare.

    python -m nova_throttle.tests.upstream [ID ...]

They run at the same time, each in a process of its own. It fails if a test
that passes on plain Nova does not with us and is not excused, or if one is
excused that needs no excuse. With an ID, only tests whose ids begin so are
run, and nothing is said of excuses for others.
"""

import collections
from concurrent import futures
from importlib import metadata
import json
import pathlib
import subprocess
import sys
import tempfile

from nova_throttle.tests.upstream import excused


def _run(mode: str, ids: list[str]) -> dict[str, str]:
    """Run the tests in a process of their own; return each outcome."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, 'outcomes.json')
        subprocess.run(
            [
                *(sys.executable, '-m', 'nova_throttle.tests.upstream.worker'),
                *(mode, str(out), *ids),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found: dict[str, str] = json.loads(out.read_text())
    return found


def _totals(name: str, outcomes: dict[str, str]) -> str:
    counts = collections.Counter(
        outcome.splitlines()[0] for outcome in outcomes.values()
    )
    return f'{name}: ' + ', '.join(
        f'{counts[word]} {word}' for word in ('passed', 'failed', 'skipped')
    )


def _lost(plain: dict[str, str], ours: dict[str, str]) -> list[str]:
    """Name the tests that pass on plain Nova only."""
    return [
        test
        for test, outcome in plain.items()
        if outcome == 'passed' and ours.get(test) != 'passed'
    ]


def _second_attempt(ours: dict[str, str], lost: list[str]) -> None:
    """Run again what failed, alone: some of Nova's tests race by nature."""
    for test, outcome in _run('throttled', lost).items():
        if outcome == 'passed':
            print(f'passed at the second attempt: {test}')
            ours[test] = outcome


def _compare(
    plain: dict[str, str], ours: dict[str, str], excuses: dict[str, str]
) -> list[str]:
    """Return what is wrong, one line each."""
    lost = _lost(plain, ours)
    wrong = []
    for test in lost:
        if test in excuses:
            print(f'excused: {test}: {excuses[test]}')
        else:
            wrong.append(f'passes on plain Nova only: {test}\n{ours[test]}')
    wrong += [
        f'excused, and needs no excuse: {test}'
        for test in excuses
        if test not in lost
    ]
    return wrong


def main(ids: list[str]) -> int:
    nova = metadata.version('nova')
    excuses = excused.of(int(nova.split('.')[0]))
    if ids:
        excuses = {
            test: reason
            for test, reason in excuses.items()
            if test.startswith(tuple(ids))
        }
    with futures.ThreadPoolExecutor() as pool:
        plain, ours = pool.map(_run, ('plain', 'throttled'), (ids, ids))
    print(_totals(f'Nova {nova}, plain', plain), flush=True)
    unexcused = [t for t in _lost(plain, ours) if t not in excuses]
    if unexcused:
        _second_attempt(ours, unexcused)
    print(_totals(f'Nova {nova}, with nova-throttle', ours))
    wrong = _compare(plain, ours, excuses)
    print('\n'.join(wrong))
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
