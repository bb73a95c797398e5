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

"""Run commands, and say in one line what went wrong.

Every wait has a deadline; the machine may be slow, so none is tight.
"""

from collections.abc import Callable
from collections.abc import Mapping
import os
import pathlib
import subprocess
import sys
import time
from typing import TypeVar

T = TypeVar('T')


class LabError(Exception):
    """Something is missing or failed; the text is one line for a person."""


def say(text: str) -> None:
    """Tell on stderr what happens; stdout is for results."""
    print(f'==> {text}', file=sys.stderr, flush=True)


def run(
    *command: str | pathlib.Path,
    env: Mapping[str, str] | None = None,
    log: pathlib.Path | None = None,
    cwd: pathlib.Path | None = None,
    check: bool = True,
) -> str:
    """Run a command and return what it printed.

    :param env: more environment variables.
    :param log: where its output goes instead.
    :raises LabError: it failed; the message has the last line it printed.
    """
    result = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        text=True,
        errors='replace',
    )
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('a') as file:
            file.write(result.stdout)
    if check and result.returncode:
        raise LabError(_complaint(command, result, log))
    return result.stdout


def _complaint(
    command: tuple[str | pathlib.Path, ...],
    result: 'subprocess.CompletedProcess[str]',
    log: pathlib.Path | None,
) -> str:
    printed = (result.stderr or result.stdout or '').strip().splitlines()
    last = printed[-1] if printed else 'no output'
    words = ' '.join(str(word) for word in command[:4])
    where = f' (see {log})' if log else ''
    return f'"{words} ..." failed with {result.returncode}: {last}{where}'


def wait_for(
    what: str,
    check: Callable[[], T | None],
    seconds: float,
    every: float = 0.3,
) -> T:
    """Poll until ``check`` returns something true.

    :returns: what it returned.
    :raises LabError: the time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise LabError(f'{what}: not within {seconds:.0f} s')
        time.sleep(every)
