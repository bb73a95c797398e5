# SPDX-License-Identifier: Apache-2.0

"""The gates of a host: one table says which there are, and their limits.

A live migration takes them stage by stage: first it is in progress, and then,
once its destination has prepared, on the wire.
"""

from typing import NamedTuple

import nova.conf

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import stages
from nova_throttle.agreement import messages
from nova_throttle import conf as throttle_conf
from nova_throttle.placement import keeper

CONF = nova.conf.CONF

# Of what leaves this host, and of what comes to it.
SOURCE = 'source'
DESTINATION = messages.DESTINATION
TRANSFER_OUT = 'transfer-out'
TRANSFER_IN = messages.TRANSFER_IN

# The stages, in their order.
IN_PROGRESS = 'in progress'
TRANSFER = 'transfer'
# What may begin early, while it waits for the last of them.
DECK = stages.DECK

_OUTGOING = {
    IN_PROGRESS: SOURCE,
    TRANSFER: TRANSFER_OUT,
    DECK: 'deck-out',
}
_INCOMING = {
    IN_PROGRESS: DESTINATION,
    TRANSFER: TRANSFER_IN,
    DECK: messages.DECK_IN,
}
# Of no host, and so of all.
_SHARED = {IN_PROGRESS: (keeper.SHARED,)}


class Option(NamedTuple):
    """An option of nova.conf; of no group if it is in ``[DEFAULT]``."""

    name: str
    group: str | None = 'nova_throttle'

    def read(self) -> int | None:
        """Return its value; None has the number be found out.

        :raises InvalidOption: if it has none, or a bad one.
        """
        value = throttle_conf.read(CONF, self.name, self.group)
        return None if value == throttle_conf.AUTO else int(value)


# The limit of each gate.
OPTIONS = {
    SOURCE: Option('max_concurrent_live_migrations', None),
    DESTINATION: Option('max_incoming_live_migrations'),
    TRANSFER_OUT: Option('max_outgoing_transfers'),
    TRANSFER_IN: Option('max_incoming_transfers'),
}


def outgoing() -> dict[str, dict[str, int]]:
    """Return the limits for what leaves this host, for each stage."""
    return {stage: {gate: _limit(gate)} for stage, gate in _OUTGOING.items()}


def incoming() -> dict[str, int]:
    """Return the limits for what comes to this host."""
    return {gate: _limit(gate) for gate in _INCOMING.values()}


def _limit(gate: str) -> int:
    """Return the limit of a gate at first, before any is found out."""
    option = OPTIONS.get(gate)
    if option is None:
        # One is on deck at a time, on each link.
        return 1
    limit = option.read()
    return 1 if limit is None else limit


def make_request(
    migration_uuid: str,
    migration_id: int,
    instance_uuid: str,
    dest: str,
    priority: int,
    held: bool = False,
) -> request_lib.Request:
    """Make what the core knows of a live migration of this host.

    The id of its record, one sequence in all of a cell, is its position among
    the requests of all hosts.
    """
    return request_lib.Request(
        migration_uuid=migration_uuid,
        instance_uuid=instance_uuid,
        destination=dest,
        needs=tuple(
            request_lib.Needs(
                (gate,),
                (
                    request_lib.RemoteGate(_INCOMING[stage], dest),
                    *_SHARED.get(stage, ()),
                ),
            )
            for stage, gate in _OUTGOING.items()
        ),
        priority=priority,
        arrival=migration_id,
        held=held,
    )
