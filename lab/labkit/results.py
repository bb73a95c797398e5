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

"""Results: raw data as JSON, one file a scenario and mode.

A case has a label, figures that a table shows, and what they were made from.
"""

import dataclasses
import datetime
import functools
import json
import pathlib
import platform
import re
from typing import Any

from labkit.plan import Plan
from labkit import shell

MODES = {'ours': 'nova-throttle', 'plain': 'plain Nova'}


@dataclasses.dataclass
class Case:
    """One run of a scenario with one setting.

    :param figures: what was measured, for the table.
    :param broken: the promises that were not kept.
    :param raw: what the figures were made from.
    """

    label: str
    figures: dict[str, Any]
    broken: list[str] = dataclasses.field(default_factory=list)
    raw: dict[str, Any] = dataclasses.field(default_factory=dict)

    def expect(self, promise: bool, otherwise: str) -> None:
        """Note a broken promise unless it was kept."""
        if not promise:
            self.broken.append(otherwise)


def save(
    plan: Plan,
    place: pathlib.Path,
    scenario: str,
    mode: str,
    cases: list[Case],
    note: str,
) -> None:
    """Write what was measured; cases of other labels stay."""
    old = load(place, scenario, mode).get('cases', {})
    date = datetime.datetime.now(datetime.timezone.utc)
    option = ' --plain' if mode == 'plain' else ''
    for case in cases:
        old[case.label] = {
            'date': date.isoformat(timespec='minutes'),
            'command': f'lab/lab run {scenario}{option}',
            'versions': versions(plan, mode),
            'note': note,
            'figures': case.figures,
            'broken': case.broken,
            'raw': case.raw,
        }
    place.mkdir(parents=True, exist_ok=True)
    path = place / f'{scenario}-{mode}.json'
    facts = {'scenario': scenario, 'mode': mode, 'cases': old}
    path.write_text(json.dumps(facts, indent=1) + '\n')


def load(place: pathlib.Path, scenario: str, mode: str) -> dict[str, Any]:
    """Read what was measured, if it was."""
    path = place / f'{scenario}-{mode}.json'
    if not path.exists():
        return {}
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


@functools.cache
def versions(plan: Plan, mode: str) -> dict[str, str]:
    """Return the versions of what is measured, once for a command."""
    found = {'python': platform.python_version()}
    ours = mode == 'ours'
    names = ['nova', 'nova-throttle'] if ours else ['nova']
    python = plan.venv('throttled' if ours else 'cloud') / 'bin/python'
    for name in names:
        script = f'import importlib.metadata as m; print(m.version("{name}"))'
        found[name] = shell.run(python, '-c', script).strip()
    for name, command in (
        ('qemu', 'qemu-system-x86_64 --version'),
        ('libvirt', 'libvirtd --version'),
    ):
        line = shell.run(*command.split()).splitlines()[0]
        found[name] = number(line)
    git = ('git', '-C', str(plan.checkout), 'describe', '--always', '--dirty')
    found['commit'] = shell.run(*git, check=False).strip()
    return found


def number(line: str) -> str:
    """Return the first version number of a line."""
    match = re.search(r'\d+(\.\d+)+', line)
    return match[0] if match else ''


def table(place: pathlib.Path, scenario: str) -> str:
    """Return what was measured as text, ours beside plain Nova."""
    rows = [('Case', 'Figure', *MODES.values())]
    for label, figure, ours, plain in compare(place, scenario):
        rows.append((label, figure, ours, plain))
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines = [
        '  '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    ]
    lines.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(line.rstrip() for line in lines)


def compare(
    place: pathlib.Path, scenario: str
) -> list[tuple[str, str, str, str]]:
    """Return case, figure, ours and plain Nova's, in words."""
    both = [load(place, scenario, m).get('cases', {}) for m in MODES]
    rows = []
    for label in dict.fromkeys(label for cases in both for label in cases):
        figures = [cases.get(label, {}).get('figures', {}) for cases in both]
        for name in dict.fromkeys(name for f in figures for name in f):
            values = (str(f.get(name, '')) for f in figures)
            rows.append((label, name, *values))
            label = ''
    return rows
