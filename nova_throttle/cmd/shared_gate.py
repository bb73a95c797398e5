# SPDX-License-Identifier: Apache-2.0

"""Commands about the gates of the cloud, which are kept in Placement.

Each says what is to be true: done twice, it is as if done once.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
from typing import TypeVar

from cliff import lister
from cliff import show
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects

from nova_throttle.cmd import base
from nova_throttle.cmd import bus
from nova_throttle.cmd import plain
from nova_throttle.compute import compat
from nova_throttle.compute import placement
from nova_throttle import exception
from nova_throttle.placement import editor as editor_lib
from nova_throttle.placement import errors
from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import store as store_lib
from nova_throttle import rpcapi

T = TypeVar('T')

COLUMNS = ('Gate', 'Limit', 'Paused', 'In Progress', 'Owners', 'Hosts')


def rows(options: argparse.Namespace) -> Iterator[plain.Row]:
    """Return one row a gate of the cloud.

    :param options: what all commands have.
    :raises PlacementAway: if it does not answer.
    """

    def read(store: store_lib.Store) -> list[plain.Row]:
        return [_row(gate, store.state(gate)) for gate in store.gates()]

    bus.connect(options.config_file)
    return iter(_in_time(options, read))


class _GateCommand(base.Command):
    """A command about one gate, or all."""

    def with_store(self, work: Callable[[store_lib.Store], T]) -> T:
        """Do something with the gates.

        :raises ThrottleError: if it can't be done, or not in time.
        """
        return _in_time(self.app.options, work)


class _Change(_GateCommand, show.ShowOne):
    """A command after which a gate is shown."""

    CHANGES = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the gate."""
        super().add_arguments(parser)
        _add_name(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Values:
        """Return what is true of the gate now."""
        bus.connect(self.app.options.config_file)
        row = self.with_store(lambda s: self._do(parsed_args, s))
        if self.CHANGES:
            _announce(parsed_args.name)
        return COLUMNS, row

    def _do(
        self, parsed_args: argparse.Namespace, store: store_lib.Store
    ) -> plain.Row:
        editor = editor_lib.Editor(store)
        self.change(parsed_args, editor)
        gate = editor.find(parsed_args.name)
        return _row(gate, store.state(gate))

    def change(
        self, parsed_args: argparse.Namespace, editor: editor_lib.Editor
    ) -> None:
        """Make the change, if the command is one."""


class GateShow(_Change):
    """Show a gate of the cloud.

    The owners are migration UUIDs. A host is meant by its name or by a
    pattern of names.
    """

    CHANGES = False


class GateCreate(_Change):
    """Make a gate of the cloud; one that exists gets this limit.

    It limits how many live migrations are in progress that leave, or come
    to, one of its hosts: all of them, unless said otherwise. Hosts of this
    cell keep to it at once, others after at most their
    housekeeping_interval.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its limit and its hosts."""
        super().add_arguments(parser)
        _add_limit(parser, required=True)
        _add_hosts(parser)

    def change(
        self, parsed_args: argparse.Namespace, editor: editor_lib.Editor
    ) -> None:
        """Make the gate."""
        hosts = _hosts(parsed_args) or ['*']
        editor.create(parsed_args.name, parsed_args.limit, hosts)


class GateSet(_Change):
    """Change a gate of the cloud.

    If the limit is lowered, those in progress finish. A gate that is paused
    gives no slot to anybody until it goes on.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what can be changed."""
        super().add_arguments(parser)
        _add_limit(parser, required=False)
        _add_hosts(parser)
        pause = parser.add_mutually_exclusive_group()
        for word, is_paused in (('pause', True), ('resume', False)):
            pause.add_argument(
                f'--{word}',
                dest='paused',
                action='store_const',
                const=is_paused,
                help=f'{word} it',
            )

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Values:
        """Return what is true of the gate after the change."""
        given = vars(parsed_args)
        if all(
            given[name] is None
            for name in ('limit', 'hosts', 'aggregate', 'paused')
        ):
            self.parser.error('nothing to change was given')
        return super().take_action(parsed_args)

    def change(
        self, parsed_args: argparse.Namespace, editor: editor_lib.Editor
    ) -> None:
        """Change what was given."""
        gate = editor.find(parsed_args.name)
        hosts = _hosts(parsed_args)
        if parsed_args.limit is not None:
            editor.set_limit(gate, parsed_args.limit)
        if parsed_args.paused is not None:
            change = editor.pause if parsed_args.paused else editor.proceed
            change(gate)
        if hosts:
            editor.set_hosts(gate, hosts)


class GateDelete(_GateCommand):
    """Delete a gate of the cloud of which nobody has a slot.

    To get rid of one in use, pause it and wait, or set its limit to 0.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the gate."""
        super().add_arguments(parser)
        _add_name(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it; one that is not there is deleted."""

        def delete(store: store_lib.Store) -> None:
            for gate in store.gates():
                if gate.name == parsed_args.name:
                    editor_lib.Editor(store).delete(gate)

        bus.connect(self.app.options.config_file)
        self.with_store(delete)
        _announce(parsed_args.name)


class GateReconcile(_GateCommand, lister.Lister):
    """Free the slots of live migrations that are over.

    Hosts do that by themselves, also for a host that is dead. Only the
    records of this cell are looked at: run it once in each.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a live migration that had slots and was over."""
        bus.connect(self.app.options.config_file)
        bus.use_conductor()
        freed = self.with_store(_reconcile)
        return ('Migration', 'Host', 'Status'), iter(freed)


def _reconcile(store: store_lib.Store) -> list[tuple[str, str, str]]:
    context = nova_context.get_admin_context()
    owners = {
        owner for gate in store.gates() for owner in store.state(gate).owners
    }
    freed = []
    for owner in sorted(owners):
        try:
            status = objects.Migration.get_by_uuid(context, owner).status
        except nova_exception.MigrationNotFound:
            continue  # of another cell
        host = store.host_of(owner)
        if status in compat.FINAL_STATUSES and host and store.free(owner):
            freed.append((owner, host, status))
    return freed


def _in_time(
    options: argparse.Namespace, work: Callable[[store_lib.Store], T]
) -> T:
    try:
        return bus.within(
            # It may have to ask Keystone first, and several questions.
            options.timeout + placement.TIMEOUT,
            lambda: work(placement.connect()),
        )
    except futures.TimeoutError:
        raise errors.PlacementAway(reason='no answer in time') from None


def _announce(name: str) -> None:
    """Tell the hosts of this cell; they find out by themselves, too."""
    with contextlib.suppress(exception.ThrottleError, futures.TimeoutError):
        bus.within(
            bus.CONNECT_TIMEOUT,
            lambda: rpcapi.hint(
                nova_context.get_admin_context(), [name], changed=True
            ),
        )


def _row(gate: gate_lib.Gate, state: gate_lib.State) -> plain.Row:
    return (
        gate.name,
        base.Limit(state.limit),
        state.paused,
        len(state.owners),
        plain.Lines(list(state.owners)),
        plain.Lines(list(gate.hosts)),
    )


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', metavar='NAME', help='of the gate')


def _add_limit(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        '--limit',
        metavar='N',
        type=int,
        required=required,
        help='slots; 0 is unlimited',
    )


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        '--hosts',
        metavar='PATTERN',
        nargs='+',
        help='hosts that it limits, such as cmp-1*',
    )
    which.add_argument(
        '--aggregate',
        metavar='AGGREGATE',
        help='it limits the hosts that are in this host aggregate of Nova '
        'now; its name or its UUID',
    )


def _hosts(parsed_args: argparse.Namespace) -> list[str]:
    if parsed_args.aggregate is None:
        return list(parsed_args.hosts or ())
    bus.use_conductor()
    context = nova_context.get_admin_context()
    for aggregate in objects.AggregateList.get_all(context):
        known = parsed_args.aggregate in (aggregate.name, aggregate.uuid)
        if known and aggregate.hosts:
            return list(aggregate.hosts)
    raise errors.UnknownAggregate(name=parsed_args.aggregate)
