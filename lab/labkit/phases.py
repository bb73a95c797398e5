# SPDX-License-Identifier: Apache-2.0

"""In which phase each live migration is, by what nova-throttle says.

The API has ``preparing`` and ``running`` only. A program on each source asks
nova-throttle four times a second, and writes what it hears into a file.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import json
import pathlib
from typing import Any

from labkit import hosts
from labkit.plan import Plan
from labkit.watch import Watch

# Of the picture, in the order of a migration.
WAITING = 'waiting'
PREPARING = 'preparing'
PREPARED = 'waiting for the link'
DECK = 'on deck'
WIRE = 'on the wire'
FINISHING = 'finishing'

_OF_STATE = {
    'queued': WAITING,
    'preparing': PREPARING,
    'prepared': PREPARED,
    'arrived': FINISHING,
    'rolling back': FINISHING,
}
_NAME = 'phases'
_PROGRAM = 'lab/poll.py'


class Phases:
    """What is heard of some sources from now on, until it is stopped.

    :param sources: the hosts to ask.
    """

    def __init__(self, plan: Plan, sources: Sequence[str]) -> None:
        self._plan = plan
        self._sources = sources
        for host in sources:
            self._path(host).unlink(missing_ok=True)
            hosts.daemon(
                plan,
                host,
                _NAME,
                str(plan.venv('throttled') / 'bin/python'),
                str(plan.checkout / _PROGRAM),
                str(plan.config('nova', f'{host}.conf')),
                host,
            )

    def _path(self, host: str) -> pathlib.Path:
        return self._plan.logs / host / f'{_NAME}.out'

    def stop(self) -> None:
        """Ask no more."""
        for host in self._sources:
            hosts.kill(self._plan, host, _PROGRAM)

    def heard(self) -> list[dict[str, Any]]:
        """Return what was heard, in the order of the instants."""
        found: list[dict[str, Any]] = []
        for host in self._sources:
            path = self._path(host)
            text = path.read_text() if path.exists() else ''
            found += _lines(text)
        return sorted(found, key=lambda line: float(line['at']))

    def now(self) -> list[str]:
        """Return the phases that were heard last."""
        heard = self.heard()
        last = heard[-1]['migrations'] if heard else {}
        return [phase(known, False) for known in last.values()]


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        # Others are warnings of libraries, or half of a line.
        if line.startswith('{') and line.endswith('}'):
            yield json.loads(line)


def history(
    heard: Iterable[dict[str, Any]], watch: Watch
) -> list[dict[str, Any]]:
    """Return each change of a phase, as a watch has those of a status."""
    ids = {migration.uuid: migration.id for migration in watch.last}
    seen: dict[str, str] = {}
    moved: set[str] = set()
    found = []
    for line in heard:
        at = round(line['at'] - watch.begin, 1)
        current = line['migrations']
        for uuid in ids:
            known = current.get(uuid)
            if known is None and uuid not in seen:
                continue
            if known and 'done' in known:
                moved.add(uuid)
            after = phase(known, uuid in moved) if known else 'over'
            if seen.get(uuid) != after:
                seen[uuid] = after
                found.append({'at': at, 'id': ids[uuid], 'status': after})
    return found


def phase(known: dict[str, Any], moved: bool) -> str:
    """Tell the phase of a migration.

    :param known: its state, and its progress while its guest moves.
    :param moved: whether its guest was seen to move before.
    """
    if known['state'] in _OF_STATE:
        return _OF_STATE[known['state']]
    if known.get('slow'):
        return DECK
    return FINISHING if moved and 'done' not in known else WIRE
