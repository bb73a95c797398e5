# SPDX-License-Identifier: Apache-2.0

"""Commands about the queue.

What is shown is the order at one instant, the next request first.
"""

import abc
import argparse
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from nova_throttle.admission import priority
from nova_throttle.cmd import base
from nova_throttle.cmd import plain
from nova_throttle.cmd import progress
from nova_throttle import exception
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle import rpcapi

COLUMNS = (
    'Position',
    'Migration',
    'Server',
    'Destination',
    'Priority',
    'Seconds Waited',
    'Waits For',
    'Progress',
)

# A call of the API that changes one migration.
Change = Callable[..., snapshot_obj.Snapshot]


class Waits(plain.Column):
    """What a request waits for."""

    def human_readable(self) -> str:
        """Return one line a gate."""
        return '\n'.join(str(wait.to_core()) for wait in self._value)

    def machine_readable(self) -> list[dict[str, Any]]:
        """Return plain data."""
        return [
            {
                'reason': wait.reason,
                'gate': wait.gate,
                'limit': wait.limit,
                'owners': list(wait.owners),
                # An older release does not know these.
                'host': wait.host if 'host' in wait else '',
                'position': wait.position if 'position' in wait else 0,
            }
            for wait in self._value
        ]


class QueueList(base.HostCommand):
    """List the live migrations that wait on a host, the next one first.

    What one waits for is a gate, of this host or of its destination, which
    is named then; with the position among all that wait there. One whose
    guest moves already, slowly, is on deck or has stepped aside, and has
    progress. That the queue is paused is said on stderr as well.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a queued request."""
        snapshot = self.ask(
            parsed_args, lambda api, ctxt: api.get_snapshot(ctxt)
        )
        pause = base.pause_of(snapshot)
        if pause is not None:
            words = base.Paused(pause).human_readable()
            self.app.stderr.write(
                f'{self.app.NAME}: the queue of {snapshot.host} is paused '
                f'{words}\n'
            )
        return COLUMNS, _rows(snapshot)


class QueuePause(base.HostCommand):
    """Let nothing start to leave a host until its queue is resumed.

    What is in progress goes on; requests are accepted, and wait. What comes
    to the host is not paused. A pause lasts over any restart.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the reason."""
        super().add_arguments(parser)
        parser.add_argument(
            '--reason',
            metavar='TEXT',
            default='',
            help='why, for who looks at the queue',
        )

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a queued request, after the change."""
        snapshot = self.ask(
            parsed_args,
            lambda api, ctxt: api.pause(ctxt, parsed_args.reason),
        )
        return COLUMNS, _rows(snapshot)


class QueueResume(base.HostCommand):
    """Let what is queued on a host start again."""

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a queued request, after the change."""
        snapshot = self.ask(parsed_args, lambda api, ctxt: api.resume(ctxt))
        return COLUMNS, _rows(snapshot)


class QueueCancel(base.MigrationCommand):
    """Abort queued live migrations.

    Each leaves as if it were aborted through Nova: its server stays where it
    is. One that is not queued any more is left alone; what aborts it is
    said. The exit status is 1 if there is any.
    """

    COUNT = '+'
    _failed = False

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a migration that was cancelled."""
        return ('Migration', 'Result'), self._cancel_all(parsed_args)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command.

        :returns: the exit status.
        """
        return super().run(parsed_args) or int(self._failed)

    def _cancel_all(
        self, parsed_args: argparse.Namespace
    ) -> Iterator[plain.Row]:
        for migration in parsed_args.migration:
            try:
                self._cancel(parsed_args, migration)
            except exception.ThrottleError as error:
                self.complain(error)
                self._failed = True
            else:
                yield migration, 'cancelled'

    def _cancel(self, parsed_args: argparse.Namespace, migration: str) -> None:
        self.ask(
            parsed_args,
            migration,
            lambda api, ctxt: api.cancel(ctxt, migration),
        )


class QueueChange(base.MigrationCommand, abc.ABC):
    """A change of one queued migration; the queue after it is shown."""

    @abc.abstractmethod
    def change(self, api: rpcapi.ThrottleAPI) -> Change:
        """Return the call that makes it."""

    def words(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        """Return what it is told besides the migration."""
        return ()

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a queued request, after the change."""
        migration, words = parsed_args.migration, self.words(parsed_args)
        snapshot = self.ask(
            parsed_args,
            migration,
            lambda api, ctxt: self.change(api)(ctxt, migration, *words),
        )
        return COLUMNS, _rows(snapshot)


class QueueSet(QueueChange):
    """Give a live migration that waits another priority.

    A class goes before the next one: what leaves a host whose compute
    service is disabled is drain, all else normal, and background is for what
    has time. But each class is overtaken by 256 younger ones of the class
    above at most.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the priority."""
        super().add_arguments(parser)
        parser.add_argument(
            '--priority',
            metavar='CLASS',
            choices=sorted(priority.CLASSES, key=priority.CLASSES.__getitem__),
            required=True,
            help='one of %(choices)s',
        )

    def change(self, api: rpcapi.ThrottleAPI) -> Change:
        """Give it that priority."""
        return api.set_priority

    def words(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        """Return the priority."""
        return (parsed_args.priority,)


class QueuePromote(QueueChange):
    """Have a live migration that waits go before all that are not promoted.

    At its destination too. Those that are promoted go in the order of their
    arrival. To undo it, set a priority.
    """

    def change(self, api: rpcapi.ThrottleAPI) -> Change:
        """Promote it."""
        return api.set_priority

    def words(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        """Return the highest priority."""
        return (priority.Priority.PROMOTED.word,)


class QueueHold(QueueChange):
    """Pass a queued live migration over until it is released.

    It keeps its position in the order, also over a restart of nova-compute.
    """

    def change(self, api: rpcapi.ThrottleAPI) -> Change:
        """Hold it."""
        return api.hold


class QueueRelease(QueueChange):
    """Let a live migration go on that was held."""

    def change(self, api: rpcapi.ThrottleAPI) -> Change:
        """Release it."""
        return api.release


def _rows(snapshot: snapshot_obj.Snapshot) -> Iterator[plain.Row]:
    known = progress.of(snapshot)
    for entry in snapshot.queue:
        found = known.get(entry.migration_uuid)
        yield (
            entry.position,
            entry.migration_uuid,
            entry.instance_uuid,
            entry.destination,
            priority.word(entry.priority),
            round(entry.seconds_waited, 1),
            Waits(entry.waits_for),
            progress.Summaries([found] if found else []),
        )
