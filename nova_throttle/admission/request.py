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

"""What waits: one live migration that was asked of this host.

A request never changes. Its identity is the migration UUID, and its ticket
is the one thing a caller needs to cancel it.
"""

from concurrent import futures
import dataclasses

DEFAULT_PRIORITY = 0


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Request:
    """One live migration that asks for slots.

    :param migration_uuid: identifies the request; the owner of its slots.
    :param instance_uuid: the instance that migrates.
    :param destination: the host it migrates to.
    :param gates: names of the gates that it needs a slot of, the scarcest
        first: a turn is reserved in this order (see the queue).
    :param priority: smaller starts earlier.
    :param arrival: its place among the requests of all hosts, smaller is
        earlier; a destination serves in this order.
    :param consent: the host whose gate it also needs a slot of, if any.
    :param ticket: pending while the request waits, running from admission
        until its slots are released. ``ticket.cancel()`` returning True
        means that the request never starts.
    """

    migration_uuid: str
    instance_uuid: str
    destination: str
    gates: tuple[str, ...]
    priority: int = DEFAULT_PRIORITY
    arrival: int = 0
    consent: str = ''
    ticket: 'futures.Future[None]' = dataclasses.field(
        default_factory=futures.Future, repr=False
    )

    def __post_init__(self) -> None:
        # A gate that is named twice is still one slot.
        object.__setattr__(self, 'gates', tuple(dict.fromkeys(self.gates)))


def is_used(ticket: 'futures.Future[None]') -> bool:
    """Tell whether a request with this ticket has been admitted."""
    return ticket.running() or (ticket.done() and not ticket.cancelled())


def wake_waiters(ticket: 'futures.Future[None]') -> None:
    """Tell who waits for a set of futures that this one was cancelled."""
    # It may be told once only, and this is how to see whether it was.
    if ticket not in futures.wait([ticket], timeout=0).done:
        ticket.set_running_or_notify_cancel()
