# SPDX-License-Identifier: Apache-2.0

"""What every command has, wherever it asks.

Whatever goes wrong is one line. Nothing here needs Nova: hosts can be drained
from a machine that has none.
"""

import argparse
from collections.abc import Iterable
import functools
import re
from typing import Any
from typing import NoReturn
from typing import TYPE_CHECKING

from cliff import columns
from cliff import command

from nova_throttle import exception
from nova_throttle import hosts

if TYPE_CHECKING:
    Column = columns.FormattableColumn[Any]
else:
    # Not generic in older releases.
    Column = columns.FormattableColumn


Row = tuple[Any, ...]
# The names of the columns, and the rows; or the values of one thing.
Table = tuple[tuple[str, ...], Iterable[Row]]
Values = tuple[tuple[str, ...], Row]


class Command(command.Command):
    """A command whose error is one line."""

    parser: argparse.ArgumentParser

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return a parser that says errors in one line."""
        self.parser = super().get_parser(prog_name)
        self.parser.error = functools.partial(  # type: ignore[method-assign]
            _usage_error, self.parser
        )
        self.add_arguments(self.parser)
        return self.parser

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what the command wants to know."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command.

        :returns: the exit status.
        """
        try:
            return super().run(parsed_args)
        except BrokenPipeError:
            raise
        except Exception as error:
            self.complain(error)
            return 1

    def complain(self, why: Exception | str) -> None:
        """Say in one line on stderr what went wrong."""
        text = why if isinstance(why, str) else _one_line(why)
        self.app.stderr.write(f'{self.app.NAME}: {text}\n')


class Lines(Column):
    """Several values, one a line."""

    def human_readable(self) -> str:
        """Return the values as lines."""
        return '\n'.join(self._value)


def add_host(
    parser: argparse.ArgumentParser, nargs: str | None = None
) -> None:
    """Have a command want a host.

    :param nargs: None if it has to be named, '?' if not.
    """
    parser.add_argument(
        'host',
        metavar='HOST',
        nargs=nargs,
        type=host_name,
        help='the host, as Nova names it',
    )


def host_name(text: str) -> str:
    """Return the name of a host, or refuse it."""
    try:
        return hosts.check_host(text)
    except exception.InvalidHost as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, exception.ThrottleError):
        # As text, what came from another host has a traceback.
        text = str(error.args[0])
    # A library's error may quote a URL.
    masked = re.sub(r'//\S*@', '//***@', ' '.join(text.split()))
    return masked or type(error).__name__


def _usage_error(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    parser.exit(2, f'{parser.prog}: {message} (see {parser.prog} --help)\n')
