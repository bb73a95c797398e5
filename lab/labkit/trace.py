# SPDX-License-Identifier: Apache-2.0

"""Every line of every host about one live migration, in order.

What a service wrote at once, such as an error with its traceback, is shown as
a whole if one of its lines has one of the names. The faults of the lab are
shown too, from the first such entry to the last.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import json
import pathlib
import re
from typing import Any

from labkit.cloud import Action
from labkit.cloud import Cloud
from labkit.cloud import Migration
from labkit.cloud import Server
from labkit.plan import Plan
from labkit import shell

# What the lab did is kept as the log of a host of this name.
DIARY = 'lab'
FAULT = ' fault '
RECORDS = 'records.json'
PATTERNS = ('*.log', '*.out')
# Of all services but uWSGI; libvirt says that its time is UTC.
_TIME = re.compile(
    r'(\d{4}-\d\d-\d\d)[ T]+(\d{1,2}:\d\d:\d\d)[.,]?(\d{1,6})?(\+00:?00)?'
)
_UWSGI = re.compile(r'\[\w{3} (\w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]')
_PROCESS = re.compile(r'\S+ \S+ (\d+) ')


@dataclasses.dataclass
class Entry:
    """What a service wrote at once.

    :param origin: its host and the name of its log.
    """

    at: datetime.datetime
    origin: str
    lines: list[str]

    def has(self, words: Sequence[str]) -> bool:
        """Whether one of its lines has one of the words."""
        return any(word in line for line in self.lines for word in words)


def logs(plan: Plan) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Return each log file and its name, which begins with its host."""
    for host in [*plan.all_hosts, DIARY]:
        libvirt = plan.host_dir(host) / 'var-log-libvirt'
        for root in (plan.logs / host, libvirt):
            for path in _files(root):
                yield path, host / path.relative_to(root)


def kept(place: pathlib.Path) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Return each log file that is kept of a run, and its name."""
    for path in _files(place):
        yield path, path.relative_to(place)


def _files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    for pattern in PATTERNS:
        yield from sorted(root.rglob(pattern))


def records(
    cloud: Cloud, servers: Iterable[Server], after: int = 0
) -> list[dict[str, Any]]:
    """Return by which names the logs speak of each migration."""
    by_id = {server.id: server for server in servers}
    actions = {uuid: cloud.actions(uuid) for uuid in by_id}
    return [
        {
            'id': migration.id,
            'uuid': migration.uuid,
            'names': [
                migration.uuid,
                f'migration {migration.id} ',
                migration.server,
                by_id[migration.server].domain,
                *requests(migration, actions[migration.server]),
            ],
        }
        for migration in cloud.migrations(after)
        if migration.server in by_id
    ]


def requests(migration: Migration, actions: Sequence[Action]) -> list[str]:
    """Return the ids of the requests about a migration.

    These are the one that it began with, and those before the next one.

    :param actions: of its server, the oldest first.
    """
    begins = [n for n, a in enumerate(actions) if a.name == 'live-migration']
    own = [n for n in begins if actions[n].begin <= migration.created]
    if not own:
        return []
    end = next((n for n in begins if n > own[-1]), len(actions))
    return [action.request for action in actions[own[-1] : end]]


def names(known: Iterable[dict[str, Any]], migration: str) -> list[str]:
    """Return by which names the logs speak of a migration.

    :param migration: its UUID or its id.
    :raises LabError: it is not known.
    """
    for record in known:
        if migration in (record['uuid'], str(record['id'])):
            return list(record['names'])
    raise shell.LabError(f'there is no migration {migration}')


def load(place: pathlib.Path) -> list[dict[str, Any]]:
    """Return the records that are kept of a run."""
    path = place / RECORDS
    if not path.exists():
        raise shell.LabError(f'{place} is not the directory of a run')
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def merge(
    files: Iterable[tuple[pathlib.Path, pathlib.Path]],
    words: Sequence[str],
    short: bool = False,
) -> Iterator[str]:
    """Return the lines with one of the words, in the order of their times.

    :param files: log files and their names.
    :param short: only the first line of what was written at once.
    """
    entries = [entry for file in files for entry in _read(*file)]
    taken = [entry for entry in entries if entry.has(words)]
    if not taken:
        return
    begin = min(entry.at for entry in taken)
    end = max(entry.at for entry in taken)
    taken += [
        entry
        for entry in entries
        if entry.origin.startswith(f'{DIARY}/')
        and entry.has([FAULT])
        and begin <= entry.at <= end
        and not entry.has(words)
    ]
    for entry in sorted(taken, key=lambda entry: entry.at):
        for line in entry.lines[: 1 if short else None]:
            yield f'{entry.origin:22} {line}'


def _read(path: pathlib.Path, name: pathlib.Path) -> Iterator[Entry]:
    entry, last = None, None
    origin = str(name.with_suffix(''))
    for line in path.read_text(errors='replace').splitlines():
        at = _time(line)
        process = _PROCESS.match(line)
        key = (at, process[1]) if process else None
        if entry and (not at or key and key == last):
            entry.lines.append(line)
        elif at:
            if entry:
                yield entry
            entry, last = Entry(at, origin, [line]), key
    if entry:
        yield entry


def _time(line: str) -> datetime.datetime | None:
    """Return the local time of a line, if it has one."""
    if found := _TIME.match(line):
        day, time, fraction, utc = found.groups()
        text = f'{day} {time:0>8}.{fraction or 0:<06}'
        at = datetime.datetime.fromisoformat(text + ('+00:00' if utc else ''))
        return at.astimezone().replace(tzinfo=None) if utc else at
    if found := _UWSGI.search(line):
        return datetime.datetime.strptime(found[1], '%b %d %H:%M:%S %Y')
    return None
