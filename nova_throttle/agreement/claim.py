# SPDX-License-Identifier: Apache-2.0

"""What a destination knows of one request for a slot.

It is what the source has said of it last, or what the records say.
"""

import dataclasses

from nova_throttle.admission import priority
from nova_throttle.agreement import messages


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """What the record of a migration to this host says.

    :param gates: names of the gates that it owns a slot of because it is in
        progress; none while it is queued.
    """

    migration_uuid: str
    instance_uuid: str
    source: str
    gates: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True, eq=False)
class Claim:
    """One request for a slot, or owner of one.

    :param item: how it stands with its source.
    :param source: that host.
    :param incarnation: of the message that the item came with.
    :param serial: of that message.
    :param owns: whether it has a slot.
    :param offered: whether it has a slot that its source has not been seen
        to take.
    :param doubted: whether it was found like this before.
    :param by_fact: whether it owns a slot because it is in progress, not by
        an offer: only facts, or its source's word that it is, go beyond.
    :param turn: its latest entry among those that a slot is given to; 0 if
        none is.
    """

    item: messages.Item
    source: str
    incarnation: int
    serial: int
    owns: bool = False
    offered: bool = False
    doubted: bool = False
    by_fact: bool = False
    turn: int = 0

    @property
    def uuid(self) -> str:
        """The migration UUID."""
        return self.item.migration_uuid

    @property
    def order(self) -> tuple[int, int]:
        """Its position among those that wait."""
        item = self.item
        return priority.rank(item.priority, item.arrival), item.arrival

    def is_older(self, ask: messages.Ask) -> bool:
        """Tell whether a message is news about it."""
        known = self.incarnation, self.serial
        return known < (ask.incarnation, ask.serial)

    def offer(self) -> messages.Offer:
        """Return the offer of its slot."""
        return messages.Offer(self.uuid, self.item.gate, self.serial)
