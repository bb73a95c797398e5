# SPDX-License-Identifier: Apache-2.0

"""Commands about the gates of a host.

Whether a gate exists, and what limits it may have, only its host knows.
"""

import argparse
from collections.abc import Iterator

from nova_throttle.cmd import base
from nova_throttle.cmd import plain
from nova_throttle.cmd import progress
from nova_throttle.cmd import shared_gate
from nova_throttle.objects import snapshot as snapshot_obj

COLUMNS = (
    'Gate',
    'Limit',
    'In Progress',
    'Owners',
    'Progress',
    'Offered',
    'Waiting',
    'Paused',
)

DEFAULT = 'source'

# A limit that is found out.
AUTO = 'auto'


class GateList(base.HostCommand):
    """List gates: their limits, and who is in progress.

    Without a host, the gates of the cloud are listed that were made with
    "gate create"; then the list has the hosts that each limits.

    Of a host, all its gates are listed, those of the cloud as it knows them.
    The gate source is for what leaves the host, and destination for what
    comes to it; transfer-out and transfer-in are for those of them whose
    guests move right now. The owners are migration UUIDs; so are those that
    a slot is offered to, until their source says whether it takes it.
    Waiting is the number of live migrations on other hosts that wait for a
    slot of this one. Progress is how far the transfer of each owner is whose
    guest leaves this host. Paused says of the gate source since when, by whom
    and why the queue of the host is paused.
    """

    NARGS = '?'

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a gate."""
        if parsed_args.host is None:
            return shared_gate.COLUMNS, shared_gate.rows(self.app.options)
        snapshot = self.ask(
            parsed_args, lambda api, ctxt: api.get_snapshot(ctxt)
        )
        return COLUMNS, _rows(snapshot)


class LimitSet(base.HostCommand):
    """Change how many live migrations of a host may be in progress.

    The gate source limits what leaves the host, destination what comes to
    it; transfer-out and transfer-in limit how many of them have the network
    link, and may be auto. It takes effect at once: a raised limit starts as
    many as now fit, a lowered one lets those in progress finish. It lasts
    until nova-compute restarts or reads its configuration again; to keep it,
    set
    max_concurrent_live_migrations (source), max_incoming_live_migrations
    (destination), max_outgoing_transfers (transfer-out) or
    max_incoming_transfers (transfer-in) in nova.conf too.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the gate, and its limit."""
        super().add_arguments(parser)
        parser.add_argument(
            'name', metavar='GATE', nargs='?', help=f'default: {DEFAULT}'
        )
        parser.add_argument(
            'limit',
            metavar='LIMIT',
            type=_limit,
            help=(
                'slots; 0 is unlimited; auto finds out how many transfers '
                'the link takes'
            ),
        )
        parser.add_argument(
            '--gate', default=DEFAULT, help='another way to name the gate'
        )

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a gate, after the change."""
        snapshot = self.ask(
            parsed_args,
            lambda api, ctxt: api.set_limit(
                ctxt, parsed_args.name or parsed_args.gate, parsed_args.limit
            ),
        )
        return COLUMNS, _rows(snapshot)


class _Limit(base.Limit):
    """A number of slots that is found out."""

    def human_readable(self) -> str:
        """Return the present number, and where it is from."""
        return f'{super().human_readable()} ({AUTO})'


def _is_found_out(gate: snapshot_obj.Gate) -> bool:
    # A host with an older release finds none out.
    return 'automatic' in gate and gate.automatic


def _limit(text: str) -> int | str:
    if text == AUTO:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither a number nor {AUTO}'
        ) from None


def _rows(snapshot: snapshot_obj.Snapshot) -> Iterator[plain.Row]:
    known = progress.of(snapshot)
    pause = base.pause_of(snapshot)
    for gate in snapshot.gates:
        yield (
            gate.name,
            _Limit(gate.limit)
            if _is_found_out(gate)
            else base.Limit(gate.limit),
            len(gate.owners),
            plain.Lines(list(gate.owners)),
            progress.Summaries(list(map(known.get, gate.owners))),
            # A host with an older release has no such gates.
            plain.Lines(list(gate.offered) if 'offered' in gate else []),
            len(gate.waiting) if 'waiting' in gate else 0,
            base.Paused(pause if gate.name == DEFAULT else None),
        )
