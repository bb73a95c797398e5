# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What two hosts tell each other about the slots of one of them.

Frozen values, each true when it was made. A source asks, a destination
tells; whatever is lost, late, doubled or out of order is recognised by the
numbers it carries, and the next message says again all that matters.
"""

import dataclasses
import enum


class Standing(str, enum.Enum):
    """How a request stands with its source: a closed set."""

    # It can't start there now.
    WAITS = 'waits'
    # It starts as soon as the destination has a slot for it.
    READY = 'ready'
    # It was passed over for long: a slot is to be kept for it.
    INSISTS = 'insists'
    # It is in progress.
    HOLDS = 'holds'
    # It is over, or will never start.
    GONE = 'gone'


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One request, as its source tells of it.

    :param arrival: its place among the requests of all hosts.
    """

    migration_uuid: str
    instance_uuid: str
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
    """

    source: str
    incarnation: int
    serial: int
    knows: int
    items: tuple[Item, ...]
    complete: bool = False

    @property
    def wants_answer(self) -> bool:
        """Whether anything in it waits."""
        waits = (Standing.WAITS, Standing.READY, Standing.INSISTS)
        return self.complete or any(i.standing in waits for i in self.items)


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """A slot for a request, to be taken or declined at once.

    :param number: the serial of the message of the source that it answers.
    :param keep: the slot is kept if the source has no room right now.
    """

    migration_uuid: str
    number: int
    keep: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Tell:
    """What a destination tells a source.

    :param destination: the host that tells.
    :param incarnation: see Ask.
    :param serial: see Ask.
    :param answers: the incarnation of the source that it knows.
    :param limit: slots of its gate; 0 is unlimited.
    :param owners: migration UUIDs in progress there.
    :param places: of the source's requests in the line, 1 is next.
    :param standstill: why it gives no slot to anybody; empty if it does.
    """

    destination: str
    incarnation: int
    serial: int
    answers: int
    offers: tuple[Offer, ...] = ()
    limit: int = 0
    owners: tuple[str, ...] = ()
    places: tuple[tuple[str, int], ...] = ()
    standstill: str = ''
