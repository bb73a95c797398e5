# SPDX-License-Identifier: Apache-2.0

"""What can be seen of the admission at one instant.

Frozen values: they stay true to the instant they were taken at, and hold no
reference to anything that changes.
"""

from collections.abc import Mapping
import dataclasses
import enum

from nova_throttle.transfer import progress as progress_lib


class WaitReason(str, enum.Enum):
    """Why a request waits: a closed set."""

    GATE_FULL = 'gate full'
    ASKING = 'destination is asked'
    SILENT = 'destination does not answer'
    CLAIMING = 'Placement is asked'
    GATE_PAUSED = 'gate paused'
    AWAY = 'Placement does not answer'
    RESERVED = 'turn reserved for another'
    HELD = 'held by an operator'
    ON_DECK = 'on deck'
    ASIDE = 'stepped aside'
    DOWN = 'destination is down'
    FAILED = 'start failed and will be tried again'
    STARTING = 'service starts'
    PAUSED = 'queue is paused'
    STOPPING = 'service stops'


# Nothing is known of the gate then.
_UNKNOWN = frozenset(
    {
        WaitReason.ASKING,
        WaitReason.SILENT,
        WaitReason.CLAIMING,
        WaitReason.AWAY,
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class GateState:
    """One gate: its limit (0 is unlimited) and the owners of its slots.

    :param offered: migration UUIDs that a slot is kept for until their
        source says whether it takes it.
    :param waiting: migration UUIDs of other hosts that wait for a slot, in
        their order.
    :param automatic: whether its limit is found out.
    """

    name: str
    limit: int
    owners: tuple[str, ...]
    offered: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    automatic: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """What a queued request waits for.

    :param reason: why it cannot start now.
    :param gate: the gate in question; empty when none is at fault.
    :param limit: slots of that gate; 0 is unlimited.
    :param owners: migration UUIDs in progress there.
    :param host: whose gate it is, if not this host's.
    :param position: its position among all that wait there, 1 is next; 0
        if that is not known.
    """

    reason: WaitReason
    gate: str = ''
    limit: int = 0
    owners: tuple[str, ...] = ()
    host: str = ''
    position: int = 0

    def __str__(self) -> str:
        if not self.gate:
            return self.reason.value
        name = ' '.join(filter(None, (self.gate, self.host)))
        if self.reason in _UNKNOWN:
            return f'{self.reason.value}: {name}'
        limit = self.limit or 'unlimited'
        position = f', position {self.position}' if self.position else ''
        return (
            f'{self.reason.value}: {name} '
            f'({len(self.owners)} of {limit} in progress{position})'
        )


@dataclasses.dataclass(frozen=True, slots=True)
class QueueEntry:
    """One queued request.

    :param position: 1 is next in the order.
    :param seconds_waited: since it was accepted.
    :param waits_for: what keeps it from starting, one item a gate.
    """

    migration_uuid: str
    instance_uuid: str
    destination: str
    priority: int
    position: int
    seconds_waited: float
    waits_for: tuple[Wait, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """All gates by name, and the queue in its order.

    :param progress: how far each transfer is that leaves this host, by
        migration UUID, as far as its driver tells.
    """

    gates: Mapping[str, GateState]
    queue: tuple[QueueEntry, ...]
    closed: bool = False
    progress: Mapping[str, progress_lib.Progress] = dataclasses.field(
        default_factory=dict
    )
