# SPDX-License-Identifier: Apache-2.0

"""What a command is.

A command returns columns and rows; how they are shown is not its business.
Values keep their types for machines and become words for people.
"""

import abc
import argparse
from collections.abc import Callable
from collections.abc import Iterable
import functools
import re
from typing import Any
from typing import NoReturn
from typing import TYPE_CHECKING
from typing import TypeVar

from cliff import columns
from cliff import command
from cliff import lister

from nova_throttle.admission import limiter
from nova_throttle.cmd import bus
from nova_throttle import exception
from nova_throttle import rpcapi

T = TypeVar('T')

if TYPE_CHECKING:
    Column = columns.FormattableColumn[Any]
else:
    # Not generic in older releases.
    Column = columns.FormattableColumn


def _host(name: str) -> str:
    try:
        return rpcapi.check_host(name)
    except exception.InvalidHost as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class Asking(command.Command, abc.ABC):
    """A command that asks one host."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return a parser that wants a host and says errors in one line."""
        parser = super().get_parser(prog_name)
        parser.error = functools.partial(  # type: ignore[method-assign]
            _usage_error, parser
        )
        parser.add_argument(
            'host',
            metavar='HOST',
            type=_host,
            help='the host, as Nova names it',
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command.

        :returns: the exit status.
        """
        try:
            return super().run(parsed_args)
        except BrokenPipeError:
            raise
        except Exception as error:
            self.app.stderr.write(f'{self.app.NAME}: {_one_line(error)}\n')
            return 1

    def ask(
        self,
        parsed_args: argparse.Namespace,
        question: Callable[[rpcapi.ThrottleAPI, Any], T],
    ) -> T:
        """Ask the throttle of the host that the command is about.

        :param question: called with the API and an administrator's context.
        :returns: the answer.
        :raises ThrottleError: if there is none.
        """
        bus.connect(self.app.options.config_file)
        return bus.ask(parsed_args.host, self.app.options.timeout, question)


class HostCommand(Asking, lister.Lister, abc.ABC):
    """A command that shows what one host answers as a table."""

    @abc.abstractmethod
    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
        """Return the names of the columns, and the rows."""


class Limit(Column):
    """A number of slots."""

    def human_readable(self) -> str:
        """Return the number, or that there is none."""
        if self._value == limiter.UNLIMITED:
            return 'unlimited'
        return str(self._value)


class Lines(Column):
    """Several values, one a line."""

    def human_readable(self) -> str:
        """Return the values as lines."""
        return '\n'.join(self._value)


def _usage_error(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    parser.exit(2, f'{parser.prog}: {message} (see {parser.prog} --help)\n')


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, exception.ThrottleError):
        # As text, what came from another host has a traceback.
        text = str(error.args[0])
    # A library's error may quote a URL.
    masked = re.sub(r'//\S*@', '//***@', ' '.join(text.split()))
    return masked or type(error).__name__
