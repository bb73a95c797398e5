# SPDX-License-Identifier: Apache-2.0

"""Run Nova's tests on plain Nova and with us, and compare.

    python -m nova_throttle.tests.upstream [ID ...]

They run at the same time, each in a process of its own. It fails if a test
that passes on plain Nova does not with us and is not excused, or if one is
excused that needs no excuse. With an ID, only tests whose ids begin so are
run, and nothing is said of excuses for others.

Some of Nova's tests race by nature: what fails, without us or with us, and is
not excused is run once more, alone. A test that never ends has failed, as
some of Nova's own do under eventlet on 34.
"""

import collections
from concurrent import futures
from importlib import metadata
import pathlib
import subprocess
import sys
import tempfile

from nova_throttle.tests.upstream import excused
from nova_throttle.tests.upstream import outcomes

# Seconds without news after which a test never ends: more than its own
# timeout (OS_TEST_TIMEOUT) leaves it.
SILENCE = 300


def _run(mode: str, ids: list[str]) -> dict[str, str]:
    """Run the tests in processes of their own; return each outcome."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, 'outcomes')
        before = 0
        while not _work_to_the_end(mode, out, ids):
            after = len(outcomes.read(out))
            if after == before:
                raise RuntimeError(f'{mode}: no test begins')
            before = after
        return outcomes.read(out)


def _work_to_the_end(mode: str, out: pathlib.Path, ids: list[str]) -> bool:
    """Run the tests that have no outcome yet.

    :returns: False if one of them never ended: there may be more.
    """
    command = [sys.executable, '-m', 'nova_throttle.tests.upstream.worker']
    process = subprocess.Popen(
        [*command, mode, str(out), *ids],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    known = -1
    while known < (known := len(outcomes.read(out))):
        try:
            status = process.wait(SILENCE)
        except subprocess.TimeoutExpired:
            continue
        if status:
            raise subprocess.CalledProcessError(status, command)
        return True
    process.kill()
    process.wait()
    return False


def _totals(name: str, found: dict[str, str]) -> str:
    counts = collections.Counter(
        outcome.splitlines()[0] for outcome in found.values()
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


def _second_attempt(
    mode: str, found: dict[str, str], excuses: dict[str, str]
) -> None:
    """Run again what failed, but not what never ended."""
    failed = [
        test
        for test, outcome in found.items()
        if outcome.startswith('failed')
        and outcome != outcomes.NEVER_ENDED
        and test not in excuses
    ]
    if not failed:
        return
    for test, outcome in _run(mode, failed).items():
        if outcome == 'passed':
            print(f'passed at the second attempt, {mode}: {test}')
            found[test] = outcome


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
    _second_attempt('plain', plain, {})
    print(_totals(f'Nova {nova}, plain', plain), flush=True)
    _second_attempt('throttled', ours, excuses)
    print(_totals(f'Nova {nova}, with nova-throttle', ours))
    wrong = _compare(plain, ours, excuses)
    print('\n'.join(wrong))
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
