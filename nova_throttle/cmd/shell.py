# SPDX-License-Identifier: Apache-2.0

"""The commands of ``nova-throttle``, and the options that all of them have.

Whatever goes wrong is one line on stderr and a non-zero exit status: 1 if a
command failed, 2 if it was misused.
"""

import argparse
from importlib import metadata
import logging
from typing import Any
from typing import NoReturn

from cliff import app
from cliff import commandmanager

from nova_throttle import version as version_lib

# Modules and classes, loaded when they are wanted: not all of them need Nova.
COMMANDS = {
    'drain cancel': 'drains:DrainCancel',
    'drain list': 'drains:DrainList',
    'drain pause': 'drain_pause:DrainPause',
    'drain report': 'drain_report:DrainReport',
    'drain resume': 'drain_pause:DrainResume',
    'drain show': 'drains:DrainShow',
    'drain start': 'drain:DrainStart',
    'drain undo': 'drains:DrainUndo',
    'gate create': 'shared_gate:GateCreate',
    'gate delete': 'shared_gate:GateDelete',
    'gate list': 'gate:GateList',
    'gate reconcile': 'shared_gate:GateReconcile',
    'gate set': 'shared_gate:GateSet',
    'gate show': 'shared_gate:GateShow',
    'limit set': 'gate:LimitSet',
    'metrics': 'metrics:Metrics',
    'migration list': 'migration:MigrationList',
    'queue cancel': 'queue:QueueCancel',
    'queue hold': 'queue:QueueHold',
    'queue list': 'queue:QueueList',
    'queue pause': 'queue:QueuePause',
    'queue promote': 'queue:QueuePromote',
    'queue release': 'queue:QueueRelease',
    'queue resume': 'queue:QueueResume',
    'queue set': 'queue:QueueSet',
}

DESCRIPTION = """
See and change what nova-throttle does on a host, while it works.

Commands about drains, but for pause and resume, use Nova's API, with the
credentials of an administrator (OS_*, or --os-cloud). Run the others where
nova.conf names the message bus of the host's cell: on any compute host or
conductor of that cell.
"""

GROUP = 'nova_throttle.cmd'

# Seconds to wait for a host's answer.
TIMEOUT = 10.0


class OneLineParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Say it and leave."""
        self.exit(2, f'{self.prog}: {message} (see {self.prog} --help)\n')


class Shell(app.App):
    """One run of the program.

    :param streams: stdin, stdout and stderr, if they are not the process's.
    """

    NAME = 'nova-throttle'

    def __init__(self, **streams: Any) -> None:
        super().__init__(
            description=DESCRIPTION,
            version=version_lib.installed(),
            command_manager=commandmanager.CommandManager(GROUP),
            # Otherwise --help after a command is not about that command.
            deferred_help=True,
            **streams,
        )
        for name, place in COMMANDS.items():
            self.command_manager.commands[name] = metadata.EntryPoint(
                name, f'{GROUP}.{place}', GROUP
            )

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        """Return a parser of the options that all commands have."""
        parser = OneLineParser(
            prog=self.NAME,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        parser.add_argument(
            '-h',
            '--help',
            dest='deferred_help',
            action='store_true',
            help='show this text, or that of a command',
        )
        parser.add_argument(
            '--version', action='version', version=f'{self.NAME} {version}'
        )
        _add_bus_options(parser)
        # What cliff wants to know and we don't ask: logs and tracebacks are
        # no answers.
        parser.set_defaults(debug=False, verbose_level=0, log_file=None)
        return parser

    def configure_logging(self) -> None:
        """Keep everybody's log off the terminal: an error is one line."""
        logging.getLogger().addHandler(logging.NullHandler())

    def initialize_app(self, argv: list[str]) -> None:
        """Refuse what is no command, before cliff guesses what was meant."""
        self.print_help_if_requested()
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            words = ' '.join(argv)
            self.parser.error(
                f'no such command: {words}' if words else 'no command given'
            )
        except ModuleNotFoundError as error:
            self.parser.exit(
                1,
                f'{self.NAME}: this needs Nova, which is not installed here '
                f'({error})\n',
            )


def _add_bus_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--config-file',
        metavar='FILE',
        action='append',
        default=[],
        help="a file to read in the place of Nova's own, such as "
        '/etc/nova/nova.conf; can be given more than once',
    )
    parser.add_argument(
        '--timeout',
        metavar='SECONDS',
        type=_seconds,
        default=TIMEOUT,
        help='how long to wait for the answer (default: %(default)g)',
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    # Not more than a day: what waits can't count to infinity.
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(
            f'must be a number above 0 and up to 86400, not {text}'
        )
    return value
