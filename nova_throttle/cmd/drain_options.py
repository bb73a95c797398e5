# SPDX-License-Identifier: Apache-2.0

"""What a drain can be told on the command line."""

import argparse
import re

from nova_throttle.cmd import plain
from nova_throttle.drain import facts
from nova_throttle.drain import options
from nova_throttle.drain import plan

UNITS = {'': 1, 's': 1, 'm': 60, 'h': 3600, 'd': 86400}

# Of cold migrations, for which Nova has no queue.
COLD_AT_ONCE = 2
# Looks until what has failed is asked for again.
LATER = 6


def add(parser: argparse.ArgumentParser) -> None:
    """Have a command understand it."""
    _add_hosts(parser)
    _add_servers(parser)
    _add_failures(parser)
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='only list how each server would leave, and what cannot',
    )
    _add_waiting(parser)


def check(
    parser: argparse.ArgumentParser, parsed_args: argparse.Namespace
) -> None:
    """Refuse what contradicts itself."""
    if parsed_args.host in parsed_args.target:
        parser.error('--target: a host is not drained to itself')
    if parsed_args.deadline and not parsed_args.wait:
        parser.error('--deadline is of use with --wait only')
    if parsed_args.at_deadline and not parsed_args.deadline:
        parser.error('--at-deadline needs --deadline')


def read(parsed_args: argparse.Namespace) -> options.Options:
    """Return what a drain was told."""
    return options.Options(
        targets=tuple(parsed_args.target),
        skip_stopped=parsed_args.stopped == 'skip',
        order=plan.Order(parsed_args.order),
        attempts=parsed_args.attempts,
        deadline=parsed_args.deadline,
        force_complete=parsed_args.at_deadline == 'force-complete',
        max_failures=parsed_args.max_failures,
        # Nobody would ask for the others later.
        cold_at_once=COLD_AT_ONCE if parsed_args.wait else 0,
        retry_after=LATER * parsed_args.interval,
        patience=2 * LATER * parsed_args.interval,
    )


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--reason',
        metavar='TEXT',
        type=_reason,
        help='why; it is shown with the service and by drain list '
        '(default: the time of the begin)',
    )
    parser.add_argument(
        '--target',
        metavar='HOST',
        action='append',
        type=plain.host_name,
        default=[],
        help='a host to choose from, may be given more than once; '
        'without it, Nova chooses',
    )


def _add_servers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--stopped',
        choices=('cold', 'skip'),
        default='cold',
        help='what to do with servers that are stopped (default: cold)',
    )
    parser.add_argument(
        '--order',
        choices=[each.value for each in plan.Order],
        default='smallest',
        help='which server is asked for first, by its memory or its '
        'creation (default: smallest)',
    )


def _add_failures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--attempts',
        metavar='N',
        type=_positive,
        default=3,
        help='how often a server is asked for that fails (default: 3)',
    )
    parser.add_argument(
        '--max-failures',
        metavar='N',
        type=_positive,
        help='after so many failures take out of the queue what waits',
    )


def _add_waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--wait',
        action='store_true',
        help='show how far it is until nothing more can be done; '
        'servers that fail are tried again only then',
    )
    parser.add_argument(
        '--deadline',
        metavar='TIME',
        type=_seconds,
        help='how long to wait, such as 30m or 4h',
    )
    parser.add_argument(
        '--at-deadline',
        choices=('report', 'force-complete'),
        help='then list what is left, while the drain goes on, or have '
        'guests paused that move, so that they arrive (default: report)',
    )
    parser.add_argument(
        '--interval',
        metavar='TIME',
        type=_seconds,
        default=5.0,
        help='how often to look (default: 5s)',
    )


def _seconds(text: str) -> float:
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([smhd]?)', text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(
            f'must be a time such as 90s, 30m or 4h, not {text!r}'
        )
    return float(match[1]) * UNITS[match[2]]


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(
            f'must be a number above 0, not {text!r}'
        )
    return int(text)


def _reason(text: str) -> str:
    """Return a reason that Nova can keep."""
    most = 255 - len(facts.CANCELLED_MARK)
    if not text.strip() or not text.isprintable() or len(text) > most:
        raise argparse.ArgumentTypeError(
            f'must be one line of 1 to {most} characters'
        )
    return text
