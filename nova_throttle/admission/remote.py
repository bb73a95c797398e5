# SPDX-License-Identifier: Apache-2.0

"""Gates that are kept elsewhere: a port, by the gate's name.

The admission says how each request stands to such a gate, and is answered.
Nothing is sent from here: a keeper takes notes, and says who has to be told.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum
from typing import NamedTuple
from typing import Protocol

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib


class Standing(str, enum.Enum):
    """How a request stands to a gate kept elsewhere: a closed set."""

    # It cannot start now, whatever that gate has free.
    WAITS = 'waits'
    # It starts as soon as that gate has a slot for it.
    READY = 'ready'
    # It was passed over for long: a slot is to be kept for it.
    INSISTS = 'insists'
    # It has a slot that it may still give back.
    KEEPS = 'keeps'
    # It is in progress.
    HOLDS = 'holds'
    # It is in progress, and gives its slot back soon.
    ENDS = 'ends'
    # It is over, or will never start.
    GONE = 'gone'


class Want(NamedTuple):
    """How a request stands to a gate now."""

    request: request_lib.Request
    gate: request_lib.RemoteGate
    standing: Standing


@dataclasses.dataclass(frozen=True, slots=True)
class Granted:
    """A request has a slot of a gate, to be taken or declined at once."""

    migration_uuid: str
    gate: request_lib.RemoteGate


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """A gate that was asked has no slot for a request now.

    :param closed: and gives none to anybody for long: nothing elsewhere is
        kept for this request meanwhile.
    """

    migration_uuid: str
    gate: request_lib.RemoteGate
    closed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """A gate that refused a request may have a slot for it by now."""

    migration_uuid: str
    gate: request_lib.RemoteGate


@dataclasses.dataclass(frozen=True, slots=True)
class Withdrawn:
    """Whatever was granted or waived at a gate and is not used is void."""

    gate: request_lib.RemoteGate


@dataclasses.dataclass(frozen=True, slots=True)
class Waived:
    """A gate is not kept: what waits for it goes on without.

    :param until: when what comes needs it again; seconds, monotonic.
    """

    gate: request_lib.RemoteGate
    until: float


Answer = Refused | Room | Withdrawn | Waived


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What is known of a gate that is kept elsewhere.

    :param limit: its slots; 0 is unlimited.
    :param owners: migration UUIDs in progress there.
    :param positions: of requests that wait there, 1 is next.
    :param standstill: why it gives no slot to anybody; empty if it does.
    :param silent: whether its host does not answer.
    :param waits: what each request waits for there, if it is asked last.
    """

    limit: int = 0
    owners: tuple[str, ...] = ()
    positions: Mapping[str, int] = dataclasses.field(default_factory=dict)
    standstill: str = ''
    silent: bool = False
    waits: Mapping[str, tuple[snapshot_lib.Wait, ...]] = dataclasses.field(
        default_factory=dict
    )


class Keeper(Protocol):
    """Arranges slots of gates with whoever keeps them.

    It is called with the controller's lock held: it takes notes and calls
    nobody.
    """

    def note(self, want: Want) -> None:
        """Take note of how a request stands to a gate."""

    def due(self) -> Sequence[str]:
        """Return, once, which hosts have to be told something."""

    def known(self) -> Mapping[request_lib.RemoteGate, Known]:
        """Return what is known of each gate; frozen values."""
