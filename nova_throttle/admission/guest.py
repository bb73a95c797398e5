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

"""What a destination knows of one live migration that comes to it."""

import dataclasses

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import wire


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """What the record of a migration to this host says.

    :param active: whether it is in progress; otherwise it is queued.
    """

    migration_uuid: str
    instance_uuid: str
    source: str
    active: bool


@dataclasses.dataclass(slots=True)
class Guest:
    """One request for a slot, or owner of one.

    :param item: how it stands with its source.
    :param source: that host.
    :param incarnation: of the message that the item came with.
    :param serial: of that message.
    :param request: what the gate knows, while it waits there or has a slot.
    :param offered: whether it has a slot that its source has not been seen
        to take.
    :param looked_at: whether it was found like this before.
    :param by_fact: whether it owns a slot because it is in progress, not by
        an offer: only facts, or its source's word that it is, go beyond.
    """

    item: wire.Item
    source: str
    incarnation: int
    serial: int
    request: request_lib.Request | None = None
    offered: bool = False
    looked_at: bool = False
    by_fact: bool = False

    @property
    def owns(self) -> bool:
        """Whether it has a slot."""
        return self.request is not None and self.request.ticket.running()

    @property
    def order(self) -> tuple[int, int]:
        """Its place among those that wait."""
        return self.item.priority, self.item.arrival

    def offer(self) -> wire.Offer:
        """Return the offer of its slot."""
        insists = self.item.standing is wire.Standing.INSISTS
        return wire.Offer(self.item.migration_uuid, self.serial, insists)
