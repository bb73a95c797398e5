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

"""The compatibility table: recorded from real runs, never written by hand.

    tools/compat_matrix.py run [--core] [NN[-eventlet] ...]
    tools/compat_matrix.py record --suite core|whole --mode MODE
    tools/compat_matrix.py render
    tools/compat_matrix.py check

``run`` runs the tests on each release with tox and has each environment
record what became of its run; then it renders the table. ``record`` is for
the interpreter of such an environment: it notes the last run of stestr.
``check`` fails if the table is not what the recorded results make of it.
"""

import argparse
import datetime
from importlib import metadata
import json
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'doc' / 'source' / 'install' / 'compatibility.rst'
RESULTS = PAGE.with_suffix('')

RUNS = (*(str(major) for major in range(26, 35)), '34-eventlet')

# What is different there for an operator, by release.
DIFFERS = {
    '26': 'Stopping is noticed once nova-compute takes no requests any more',
    '27': 'As 26',
    '28': 'As 26',
    '29': 'As 26',
    '30': 'As 26',
    '31': 'As 26',
    '32': 'As 26',
    '33': 'As 26. A stopping host still answers its peers. Native threads '
    'are experimental in Nova, whose functional tests do not run on them',
    '34': 'Stopping is noticed at once, and Nova waits for what runs',
}

TITLE = 'Compatibility'
INTRO = """\
.. Written by tools/compat_matrix.py from the results in compatibility/.

The same package works on each of these releases of Nova. Each row is a real
run of the functional tests on that release, installed from the package index
with the versions of its file in ``constraints/``.

*whole* is the functional suite and the unit tests of what meets Nova, among
them the comparison of the RPC interface. *core* is those of them that reach
whatever differs between the releases.
"""
HEAD = (
    'Nova',
    'Python',
    'Mode',
    'Tests',
    'Passed',
    'Failed',
    'Skipped',
    'Date',
    'What differs',
)


def _outcome(text: str, name: str) -> int:
    found = re.search(rf'^ - {name}: +(\d+)', text, re.M)
    if found is None:
        raise SystemExit('stestr has no last run')
    return int(found[1])


def record(suite: str, mode: str) -> None:
    """Note the last run of stestr by this interpreter."""
    # It exits with 1 if tests failed, which is worth a note too.
    text = subprocess.run(
        [pathlib.Path(sys.prefix, 'bin', 'stestr'), 'last'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    nova = metadata.version('nova')
    result = {
        'nova': nova,
        'python': platform.python_version(),
        'mode': mode,
        'suite': suite,
        'passed': _outcome(text, 'Passed'),
        'failed': _outcome(text, 'Failed'),
        'skipped': _outcome(text, 'Skipped'),
        'date': datetime.datetime.now(datetime.timezone.utc)
        .date()
        .isoformat(),
    }
    RESULTS.mkdir(exist_ok=True)
    word = mode.split()[0]
    path = RESULTS / f'nova-{nova.split(".")[0]}-{word}-{suite}.json'
    path.write_text(json.dumps(result, indent=4) + '\n')


def _results() -> list[dict[str, str | int]]:
    results = [json.loads(path.read_text()) for path in RESULTS.glob('*.json')]
    return sorted(
        results,
        key=lambda r: (
            [int(part) for part in r['nova'].split('.')],
            r['mode'],
            r['suite'],
        ),
    )


def page() -> str:
    """Return the page that the results make."""
    lines = ['=' * len(TITLE), TITLE, '=' * len(TITLE), '', INTRO]
    lines += ['.. list-table::', '   :header-rows: 1', '']
    rows = [HEAD]
    for result in _results():
        major = str(result['nova']).split('.')[0]
        names = ('nova', 'python', 'mode', 'suite', 'passed', 'failed')
        rows.append(
            tuple(str(result[name]) for name in (*names, 'skipped', 'date'))
            + (DIFFERS[major],)
        )
    for row in rows:
        mark = '* -'
        for cell in row:
            lines += _cell(mark, cell)
            mark = '  -'
    return '\n'.join(lines) + '\n'


def _cell(mark: str, text: str) -> list[str]:
    """Break a cell into lines that are not too long."""
    lines = [f'   {mark}']
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > 79:
            lines.append('       ')
            lines[-1] += word
        else:
            lines[-1] += f' {word}'
    return lines


def run(names: list[str], core: bool) -> int:
    """Run the tests on releases, one after the other.

    :returns: how many of the runs failed.
    """
    failures = 0
    for name in names or RUNS:
        native = name == '34' and not core
        env = f'nova{name.partition("-")[0]}-core' if core else f'nova{name}'
        failures += bool(subprocess.call(['tox', 'run', '-e', env], cwd=ROOT))
        folder = 'nova' if name.startswith('34') else f'nova{name}'
        subprocess.check_call(
            [
                ROOT / '.tox' / folder / 'bin' / 'python',
                __file__,
                'record',
                *('--suite', 'core' if core else 'whole'),
                *('--mode', 'native threads' if native else 'eventlet'),
            ]
        )
        PAGE.write_text(page())
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    runner = commands.add_parser('run')
    runner.add_argument('--core', action='store_true')
    runner.add_argument('names', nargs='*', metavar='NN[-eventlet]')
    recorder = commands.add_parser('record')
    recorder.add_argument('--suite', choices=['core', 'whole'], required=True)
    recorder.add_argument('--mode', required=True)
    commands.add_parser('render')
    commands.add_parser('check')
    arguments = parser.parse_args()
    if arguments.command == 'run':
        return run(arguments.names, arguments.core)
    if arguments.command == 'record':
        record(arguments.suite, arguments.mode)
    elif arguments.command == 'render':
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        print(f'{PAGE} is not what its results make: tools/compat_matrix.py')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
