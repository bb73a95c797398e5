# SPDX-License-Identifier: Apache-2.0

"""What a command is.

A command returns columns and rows; how they are shown is not its business.
Values keep their types for machines and become words for people.
"""

import abc
import argparse
from collections.abc import Callable
from typing import Any
from typing import TypeVar

from cliff import lister
from oslo_utils import timeutils
from oslo_utils import uuidutils

from nova_throttle.admission import limiter
from nova_throttle.cmd import bus
from nova_throttle.cmd import plain
from nova_throttle.objects import pause as pause_obj
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle import rpcapi

T = TypeVar('T')


def _migration(uuid: str) -> str:
    if not uuidutils.is_uuid_like(uuid):
        raise argparse.ArgumentTypeError(f'{uuid} is no UUID of a migration')
    return uuid.lower()


class Command(plain.Command, abc.ABC):
    """A command that asks hosts something."""

    @property
    def timeout(self) -> float:
        """Seconds to wait for an answer."""
        seconds: float = self.app.options.timeout
        return seconds

    def connect(self) -> None:
        """Get ready to ask.

        :raises ThrottleError: if that can't be done.
        """
        bus.connect(self.app.options.config_file)


class Asking(Command):
    """A command that asks one host."""

    # None if it has to be named, '?' if not.
    NARGS: str | None = None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the host."""
        super().add_arguments(parser)
        plain.add_host(parser, self.NARGS)

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
        self.connect()
        return bus.ask(parsed_args.host, self.timeout, question)


class MigrationCommand(Command, lister.Lister, abc.ABC):
    """A command about live migrations."""

    # How many it takes, as argparse says it.
    COUNT: str | None = None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the migrations, and how to find their host."""
        super().add_arguments(parser)
        parser.add_argument(
            'migration',
            metavar='MIGRATION',
            type=_migration,
            nargs=self.COUNT,
            help='the UUID of a live migration',
        )
        parser.add_argument(
            '--host',
            metavar='HOST',
            type=plain.host_name,
            help='the host that it leaves; without, a conductor is asked',
        )

    def ask(
        self,
        parsed_args: argparse.Namespace,
        migration: str,
        question: Callable[[rpcapi.ThrottleAPI, Any], T],
    ) -> T:
        """Ask the throttle of the host that a migration leaves.

        :param question: called with the API and an administrator's context.
        :returns: the answer.
        :raises ThrottleError: if there is none, or nobody knows the host.
        """
        self.connect()
        host = parsed_args.host or bus.source_of(migration, self.timeout)
        return bus.ask(host, self.timeout, question)


class HostCommand(Asking, lister.Lister, abc.ABC):
    """A command that shows what one host answers as a table."""

    @abc.abstractmethod
    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return the names of the columns, and the rows."""


class Limit(plain.Column):
    """A number of slots."""

    def human_readable(self) -> str:
        """Return the number, or that there is none."""
        if self._value == limiter.UNLIMITED:
            return 'unlimited'
        return str(self._value)


class Paused(plain.Column):
    """Why a queue is paused, if it is."""

    def human_readable(self) -> str:
        """Return it in words."""
        if self._value is None:
            return ''
        since = timeutils.normalize_time(self._value.since).isoformat()
        words = f'since {since}Z by {self._value.user}'
        return ': '.join(filter(None, (words, self._value.reason)))

    def machine_readable(self) -> dict[str, str] | None:
        """Return plain data."""
        if self._value is None:
            return None
        return {
            'since': self._value.since.isoformat(),
            'user': self._value.user,
            'request': self._value.request_id,
            'reason': self._value.reason,
        }


def pause_of(snapshot: snapshot_obj.Snapshot) -> pause_obj.Pause | None:
    """Return why the queue of a host is paused, if it is."""
    # An older release has no pause.
    pause: pause_obj.Pause | None
    pause = snapshot.pause if 'pause' in snapshot else None
    return pause
