# SPDX-License-Identifier: Apache-2.0

"""What is kept of a run: what happened, and all that services wrote."""

import datetime
import json
import pathlib
import shutil
from typing import Any

from labkit.plan import Plan
from labkit import shell
from labkit import trace


class Diary:
    """What happened, a line each: shown, and kept beside the hosts' logs.

    :param plan: the lab.
    """

    def __init__(self, plan: Plan) -> None:
        self._path = plan.logs / trace.DIARY / 'diary.log'
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, text: str) -> None:
        """Add a line."""
        now = datetime.datetime.now()
        time = now.isoformat(' ', 'milliseconds')
        with self._path.open('a') as file:
            file.write(f'{time} {text}\n')
        shell.say(f'{time[11:21]} {text}')


class History:
    """The part of all logs that is written from now on.

    :param plan: the lab.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sizes = {
            path: path.stat().st_size for path, _ in trace.logs(self._plan)
        }

    def keep(self, place: pathlib.Path, **facts: Any) -> None:
        """Copy it, with facts as JSON files of their names."""
        for path, name in trace.logs(self._plan):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            with path.open('rb') as log, (place / name).open('wb') as copy:
                log.seek(self._sizes.get(path, 0))
                shutil.copyfileobj(log, copy)
        for fact, value in facts.items():
            text = json.dumps(value, indent=1) + '\n'
            (place / f'{fact}.json').write_text(text)
