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


"""From the command line of the demo to its exit status.

A bad option starts nothing. Success is that no host ever sent or received
more than its limit, and every server is where it was to go.
"""

import argparse
import importlib.util
import math
import os
import sys
from typing import NoReturn
from typing import Protocol

from nova_throttle.demo import child as child_lib
from nova_throttle.demo import lines
from nova_throttle.demo import report

PROG = 'nova-throttle-demo'

DESCRIPTION = """
Watch nova-throttle at work in an embedded Nova: boot servers on some hosts,
ask for all of them to be live-migrated to others at once, and see who runs and
what each one waits for.
"""

# Seconds between two pictures of what moves on a terminal.
TICK = 0.1

# Of each kind: each is a nova-compute, and has to fit on a screen.
MOST_HOSTS = 5

# What an installation without the extra lacks; the rest comes with these.
NEEDED = (
    'fixtures',
    'nova',
    'oslotest',
    'placement',
    'rich',
    'testtools',
    'wsgi_intercept',
)


# Nova has this since its own test services run on native threads.
NATIVE = 'nova.thread_pool_factory'


class Screen(Protocol):
    """What shows a drain to somebody."""

    def __enter__(self) -> 'Screen':
        """Start."""

    def __exit__(self, *exc_info: object) -> None:
        """Leave everything as it was."""

    def tick(self) -> None:
        """Show that time goes by."""

    def step(self, step: report.Step) -> None:
        """Show a step."""

    def picture(self, picture: report.Picture) -> None:
        """Show the drain at an instant."""

    def summary(self, summary: report.Summary) -> None:
        """Show how it went."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Say it and leave."""
        self.exit(2, f'{self.prog}: {message} (see {self.prog} --help)\n')


def run() -> int:
    """Run the demo that the command line asks for.

    :returns: the exit status: 0, 1 if it failed, 2 if it was misused.
    """
    args = _parser().parse_args()
    missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if missing:
        return _fail(f'{", ".join(missing)} is missing: {report.INSTALL}')
    can_be_native = importlib.util.find_spec(NATIVE) is not None
    if args.mode == 'native' and not can_be_native:
        return _fail("this Nova's test services run under eventlet only")
    eventlet = args.mode == 'eventlet' or not can_be_native
    options = _options(args, eventlet)
    with child_lib.Child(options, args.verbose) as child:
        with _screen(args.verbose) as screen:
            end = _follow(child, screen)
        if isinstance(end, report.Summary) and end.succeeded:
            child.wait()
            return 0
        problem = end.text if isinstance(end, report.Failure) else end.problem
        log = child.keep_log()
        return _fail(f"{problem}; Nova's log is {log}" if log else problem)


def _options(args: argparse.Namespace, eventlet: bool) -> report.Options:
    return report.Options(
        servers=args.servers,
        sources=args.sources,
        destinations=args.destinations,
        limit=args.limit,
        incoming=args.incoming,
        seconds=args.seconds,
        eventlet=eventlet,
    )


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG, description=DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument(
        '--servers',
        metavar='N',
        type=_at_least_one,
        default=9,
        help='how many servers are live-migrated (default: %(default)s)',
    )
    _add_hosts(parser)
    _add_limits(parser)
    parser.add_argument(
        '--seconds',
        metavar='S',
        type=_duration,
        default=2.0,
        help='how long libvirt takes over a migration (default: %(default)g)',
    )
    parser.add_argument(
        '--mode',
        choices=('native', 'eventlet'),
        help="Nova's threading (default: native, before Nova 34 eventlet)",
    )
    parser.add_argument(
        '--verbose',
        action='store_true',
        help="show Nova's logs on stderr, and plain lines",
    )
    return parser


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    for name, default, what in (
        ('--sources', 3, 'hosts they leave'),
        ('--destinations', 2, 'hosts receive them'),
    ):
        parser.add_argument(
            name,
            metavar='N',
            type=_few,
            default=default,
            help=f'how many {what}, at most {MOST_HOSTS} '
            '(default: %(default)s)',
        )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    for name, what in (
        ('--limit', 'max_concurrent_live_migrations'),
        ('--incoming', 'max_incoming_live_migrations'),
    ):
        parser.add_argument(
            name,
            metavar='N',
            type=_not_negative,
            default=2,
            help=f'{what} of each host; 0 is unlimited (default: %(default)s)',
        )


def _whole(value: str, least: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(
            f'must be a whole number, at least {least}, not {value!r}'
        )
    return number


def _at_least_one(value: str) -> int:
    return _whole(value, 1)


def _few(value: str) -> int:
    number = _whole(value, 1)
    if number > MOST_HOSTS:
        raise argparse.ArgumentTypeError(
            f'must be at most {MOST_HOSTS}, not {value!r}'
        )
    return number


def _not_negative(value: str) -> int:
    return _whole(value, 0)


def _duration(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(
            f'must be a number of seconds, 0 or more, not {value!r}'
        )
    return seconds


def _screen(verbose: bool) -> Screen:
    plain = verbose or os.environ.get('TERM') in (None, 'dumb')
    if plain or not sys.stdout.isatty():
        return lines.Lines(sys.stdout)
    # Local: half a second that a pipe need not wait for.
    from nova_throttle.demo import table

    return table.Table()


def _follow(
    child: child_lib.Child, screen: Screen
) -> report.Summary | report.Failure:
    """Show what comes from the embedded Nova until its last word."""
    while True:
        message = child.receive(TICK)
        if isinstance(message, report.Step):
            screen.step(message)
        elif isinstance(message, report.Picture):
            screen.picture(message)
        elif isinstance(message, report.Summary):
            screen.summary(message)
            return message
        elif isinstance(message, report.Failure):
            return message
        else:
            screen.tick()


def _fail(text: str) -> int:
    sys.stderr.write(f'{PROG}: {text}\n')
    return 1
