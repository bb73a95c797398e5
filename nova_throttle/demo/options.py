# SPDX-License-Identifier: Apache-2.0

"""The command line of the demo, and whether its wish can be granted here.

If not, nothing is started, and what is wrong is said in one line.
"""

import argparse
import dataclasses
import importlib.util
from typing import NoReturn

PROG = 'nova-throttle-demo'

DESCRIPTION = """
Watch nova-throttle at work in an embedded Nova: boot servers on some hosts,
ask for all of them to be live-migrated to others at once, and see who runs and
what each one waits for.
"""

LIMIT = 'max_{}_live_migrations of each host, 0 is unlimited'

# Name, default, least, most, help. Each host is a nova-compute, and has to
# fit on a screen.
NUMBERS = (
    ('servers', 9, 1, 999, 'servers that are live-migrated'),
    ('sources', 3, 1, 5, 'hosts that they leave'),
    ('destinations', 2, 1, 5, 'hosts that they go to'),
    ('limit', 2, 0, 999, LIMIT.format('concurrent')),
    ('incoming', 2, 0, 999, LIMIT.format('incoming')),
    (
        'transfers',
        *(0, 0, 999),
        'max_outgoing_transfers and max_incoming_transfers of each host: how '
        'many of those in progress have the network link; 0 is all',
    ),
    ('seconds', 2.0, 0, 3600, 'how long libvirt takes over a migration'),
)

# What an installation without the extra lacks; the rest comes with these.
NEEDED = ('fixtures', 'nova', 'placement', 'rich', 'wsgi_intercept')
INSTALL = "run: pip install 'nova-throttle[demo]'"

# Nova has this since its own test services run on native threads.
NATIVE = 'nova.thread_pool_factory'
NOT_NATIVE = "this Nova's test services run under eventlet only"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the demo is asked to do; ``--help`` tells what each means."""

    servers: int
    sources: int
    destinations: int
    limit: int
    incoming: int
    transfers: int
    seconds: float
    mode: str


class OneLineParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Say it and leave."""
        self.exit(2, f'{self.prog}: {message} (see {self.prog} --help)\n')


def parse() -> Options:
    """Read the command line, or leave and say why.

    :raises SystemExit: with status 2 for a bad option, and 1 if something
        is not installed.
    """
    parser = _parser()
    args = parser.parse_args()
    for name, _, least, most, _ in NUMBERS:
        if not least <= getattr(args, name) <= most:
            parser.error(f'argument --{name}: not from {least} to {most}')
    missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if missing:
        parser.exit(1, f'{PROG}: {", ".join(missing)} is missing: {INSTALL}\n')
    can_be_native = importlib.util.find_spec(NATIVE) is not None
    if args.mode == 'native' and not can_be_native:
        parser.exit(1, f'{PROG}: {NOT_NATIVE}\n')
    args.mode = args.mode or ('native' if can_be_native else 'eventlet')
    return Options(**vars(args))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG, description=DESCRIPTION, allow_abbrev=False
    )
    for name, default, least, most, text in NUMBERS:
        parser.add_argument(
            f'--{name}',
            metavar='N',
            type=type(default),
            default=default,
            help=f'{text} ({least} to {most}, default: {default:g})',
        )
    parser.add_argument(
        '--mode',
        choices=('native', 'eventlet'),
        help="Nova's threading (default: native, before Nova 34 eventlet)",
    )
    return parser
