# SPDX-License-Identifier: Apache-2.0

"""What two hosts tell each other about the slots of one of them.

Frozen values, each true when it was made. A source asks, a destination
tells; whatever is lost, late, doubled or out of order is recognised by the
numbers it carries, and the next message says again all that matters.
"""

import dataclasses

from nova_throttle.admission import remote

# The gate that a destination sees taken by itself: it is asked to prepare.
DESTINATION = 'destination'

# The gate of what comes to it over the network.
TRANSFER_IN = 'transfer-in'

# Of what may come early, while those that have the gate above end.
DECK_IN = 'deck-in'

Standing = remote.Standing

WAITING = frozenset({Standing.WAITS, Standing.READY, Standing.INSISTS})
ASKING = frozenset({Standing.READY, Standing.INSISTS})
IN_PROGRESS = frozenset({Standing.HOLDS, Standing.ENDS})


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """How one request stands to one gate, as its source tells.

    :param gate: the gate's name.
    :param arrival: its position among the requests of all hosts.
    """

    migration_uuid: str
    instance_uuid: str
    gate: str
    standing: Standing
    priority: int = 0
    arrival: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """What a source tells of its requests for a destination.

    :param source: the host that asks.
    :param incarnation: tells one life of its service from the next, which
        has a greater one.
    :param serial: grows with each message of this life.
    :param knows: the incarnation of the destination that it knows.
    :param complete: whether what is not among the items does not exist.
    :param transfers: how many at a time its link takes; 0 if it has no word.
    """

    source: str
    incarnation: int
    serial: int
    knows: int
    items: tuple[Item, ...]
    complete: bool = False
    transfers: int = 0

    @property
    def wants_answer(self) -> bool:
        """Whether anything in it waits."""
        return self.complete or any(i.standing in WAITING for i in self.items)


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """A slot for a request, to be taken or declined at once.

    :param gate: the gate's name.
    :param number: the serial of the message of the source that it answers.
    """

    migration_uuid: str
    gate: str
    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """What is true of one gate of a destination.

    :param limit: its slots; 0 is unlimited.
    :param owners: migration UUIDs in progress there.
    :param positions: of the source's requests that wait, 1 is next.
    """

    name: str
    limit: int = 0
    owners: tuple[str, ...] = ()
    positions: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Tell:
    """What a destination tells a source.

    :param destination: the host that tells.
    :param incarnation: see Ask.
    :param serial: see Ask.
    :param answers: the incarnation of the source that it knows.
    :param heard: the serial of the last message of that life.
    :param standstill: why it gives no slot to anybody; empty if it does.
    """

    destination: str
    incarnation: int
    serial: int
    answers: int
    heard: int = -1
    offers: tuple[Offer, ...] = ()
    gates: tuple[Gate, ...] = ()
    standstill: str = ''
