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

"""The lab's command line."""

import argparse
import os
import pathlib
import signal
import subprocess
import sys

from labkit.chaos.options import Options
from labkit import checks
from labkit.cloud import ApiError
from labkit.cloud import Cloud
from labkit import figures
from labkit import hosts
from labkit import openstack
from labkit.plan import DEFAULT_WORK
from labkit.plan import Plan
from labkit import results
from labkit import scenarios
from labkit import shell
from labkit.stage import Stage
from labkit import tempest
from labkit import trace
from labkit import up

RESULTS = pathlib.Path(__file__).resolve().parents[1] / 'results'


def main() -> int:
    """Run the command and return its exit status."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.action(_plan(arguments), arguments) or 0)
    except (shell.LabError, ApiError) as error:
        print(f'lab: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='lab', description='A real OpenStack on one machine.'
    )
    parser.add_argument(
        '--dir',
        type=pathlib.Path,
        default=os.environ.get('NOVA_THROTTLE_LAB', DEFAULT_WORK),
        help='where everything is made (default: $NOVA_THROTTLE_LAB or '
        f'{DEFAULT_WORK})',
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name, action in COMMANDS.items():
        command = commands.add_parser(name, help=(action.__doc__ or '')[:-1])
        command.set_defaults(action=action)
        _add_arguments(name, command)
    return parser


def _add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    if name in ('up', 'run', 'tempest'):
        add('--plain', action='store_true', help='Nova without nova-throttle')
    if name == 'up':
        add('--hosts', type=int, default=3, help='compute hosts (default: 3)')
    if name in ('run', 'table'):
        add(
            'scenario',
            nargs='*',
            type=_scenario,
            help=', '.join(scenarios.ALL),
        )
    if name in ('run', 'table', 'figures'):
        add('--results', type=pathlib.Path, default=RESULTS)
    if name == 'run':
        add('--case', action='append', default=[], help='only such cases')
        add('--note', default='', help='kept with the results')
        _add_chaos(parser.add_argument_group('chaos'))
    if name == 'trace':
        add('migration', help='its UUID or its id')
        add('--run', type=pathlib.Path, help='the directory of a kept run')
        add('--short', action='store_true', help='without tracebacks')
    if name == 'logs':
        add('host', nargs='?', default='', help='of this host only')
    if name in ('exec', 'openstack', 'tempest'):
        add('words', nargs=argparse.REMAINDER)


def _add_chaos(group: argparse._ArgumentGroup) -> None:
    default = Options()
    for name, kind, text in (
        ('seed', int, 'the first seed'),
        ('seeds', int, 'how many seeds'),
        ('minutes', float, 'of each seed'),
        ('load', int, 'busy processes beside it'),
    ):
        value = getattr(default, name)
        help_ = f'{text} (default: {value})'
        group.add_argument(f'--{name}', type=kind, default=value, help=help_)


def _scenario(name: str) -> str:
    if name not in scenarios.ALL:
        known = ', '.join(scenarios.ALL)
        raise argparse.ArgumentTypeError(f'there is no {name}, but: {known}')
    return name


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = Plan(pathlib.Path(arguments.dir).resolve())
    count = getattr(arguments, 'hosts', None) or plan.recall().get('computes')
    return Plan(plan.work, count or 3)


def _up(plan: Plan, arguments: argparse.Namespace) -> None:
    """Build it and start it."""
    if not 2 <= arguments.hosts <= 9:
        raise shell.LabError('--hosts is 2 to 9')
    up.up(plan, arguments.plain)


def _down(plan: Plan, _arguments: argparse.Namespace) -> None:
    """End it and remove everything but the cache."""
    up.down(plan)


def _status(plan: Plan, _arguments: argparse.Namespace) -> int:
    """Show what runs; the exit status is 3 if nothing does."""
    checks.check_root()
    rows = up.status(plan)
    for host, text in rows:
        print(f'{host:10} {text}')
    return 3 if all(text == 'down' for _, text in rows) else 0


def _run(plan: Plan, arguments: argparse.Namespace) -> int:
    """Run scenarios (all of them if none is named)."""
    checks.check_root()
    # To be ended is to be interrupted: what was broken is healed first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    mode = 'plain' if arguments.plain else 'ours'
    if not arguments.plain and plan.mode == 'plain':
        up.install(plan, plain=False)
    stage = Stage(
        *(plan, Cloud(plan), arguments.plain, arguments.case),
        Options(
            *(arguments.seed, arguments.seeds, arguments.minutes),
            *(arguments.load, arguments.results / 'chaos'),
        ),
    )
    broken = 0
    for name in arguments.scenario or scenarios.ALL:
        for case in scenarios.ALL[name](stage):
            results.save(
                *(plan, arguments.results, name, mode, [case]), arguments.note
            )
            for promise in case.broken:
                print(f'{name}: {case.label}: {promise}', file=sys.stderr)
            broken += len(case.broken)
        print(results.table(arguments.results, name))
    # Plain Nova promises nothing.
    return 1 if broken and not arguments.plain else 0


def _table(_plan: Plan, arguments: argparse.Namespace) -> None:
    """Show what was measured last."""
    for name in arguments.scenario or scenarios.ALL:
        print(f'{name}\n\n{results.table(arguments.results, name)}\n')


def _figures(plan: Plan, arguments: argparse.Namespace) -> None:
    """Make the documentation's figures from the results."""
    target = plan.checkout / 'doc/source/measured'
    for path in figures.write(arguments.results, target):
        print(path)


def _logs(plan: Plan, arguments: argparse.Namespace) -> int:
    """Follow the logs."""
    pattern = f'{arguments.host or "*"}/*.log'
    files = sorted(str(path) for path in plan.logs.glob(pattern))
    if not files:
        raise shell.LabError('no logs: lab up')
    return subprocess.call(['tail', '-n', '20', '-F', *files])


def _trace(plan: Plan, arguments: argparse.Namespace) -> None:
    """Show every line of every host about one migration."""
    if arguments.run:
        files, known = trace.kept(arguments.run), trace.load(arguments.run)
    else:
        cloud = Cloud(plan)
        files, known = trace.logs(plan), trace.records(cloud, cloud.servers())
    words = trace.names(known, arguments.migration)
    # A pager that is left ends this too.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for line in trace.merge(files, words, arguments.short):
        print(line)


def _exec(plan: Plan, arguments: argparse.Namespace) -> int:
    """Run a command inside a host: exec HOST COMMAND."""
    host, *words = arguments.words
    return subprocess.call(hosts.inside(plan, host, *words))


def _openstack(plan: Plan, arguments: argparse.Namespace) -> None:
    """Run the openstack command as the administrator."""
    print(openstack.run(plan, *arguments.words), end='')


def _tempest(plan: Plan, arguments: argparse.Namespace) -> int:
    """Run tempest: ours and Nova's live migrations, or what is named."""
    checks.check_root()
    return tempest.run(plan, arguments.plain, arguments.words)


COMMANDS = {
    'up': _up,
    'down': _down,
    'status': _status,
    'run': _run,
    'table': _table,
    'figures': _figures,
    'logs': _logs,
    'trace': _trace,
    'exec': _exec,
    'openstack': _openstack,
    'tempest': _tempest,
}
