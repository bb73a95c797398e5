# SPDX-License-Identifier: Apache-2.0

"""The gates of a host: one table says which there are, and their limits.

A live migration takes them stage by stage: first it is in progress, and then,
once its destination has prepared, on the wire.
"""

from typing import NamedTuple

import nova.conf

from nova_throttle.admission import request as request_lib
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

_OUTGOING = {IN_PROGRESS: SOURCE, TRANSFER: TRANSFER_OUT}
_INCOMING = {IN_PROGRESS: DESTINATION, TRANSFER: TRANSFER_IN}
# Of no host, and so of all.
_SHARED = {IN_PROGRESS: (keeper.SHARED,)}


class Option(NamedTuple):
    """An option of nova.conf; of no group if it is in ``[DEFAULT]``."""

    name: str
    group: str | None = 'nova_throttle'

    def read(self) -> int:
        """Return its value.

        :raises InvalidOption: if it has none, or a bad one.
        """
        value: int = throttle_conf.read(CONF, self.name, self.group)
        return value


# The limit of each gate.
OPTIONS = {
    SOURCE: Option('max_concurrent_live_migrations', None),
    DESTINATION: Option('max_incoming_live_migrations'),
    TRANSFER_OUT: Option('max_outgoing_transfers'),
    TRANSFER_IN: Option('max_incoming_transfers'),
}


def outgoing() -> dict[str, dict[str, int]]:
    """Return the limits for what leaves this host, for each stage."""
    return {
        stage: {gate: OPTIONS[gate].read()}
        for stage, gate in _OUTGOING.items()
    }


def incoming() -> dict[str, int]:
    """Return the limits for what comes to this host."""
    return {gate: OPTIONS[gate].read() for gate in _INCOMING.values()}


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
