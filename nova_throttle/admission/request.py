# SPDX-License-Identifier: Apache-2.0

"""What waits: one live migration that was asked of this host.

A request never changes. Its identity is the migration UUID; what it needs is
said stage by stage, and its ticket is all a caller needs to cancel it.
"""

from concurrent import futures
import dataclasses
from typing import NamedTuple

from nova_throttle.admission import priority as priority_lib

Ticket = futures.Future[None]


class RemoteGate(NamedTuple):
    """A gate that is kept elsewhere.

    :param name: what it limits; one party keeps all gates of a name.
    :param host: whose gate of this name it is; empty if it is no host's.
    """

    name: str
    host: str

    @property
    def is_last(self) -> bool:
        """Whether a request has to have all else before it asks here."""
        return not self.host


class Needs(NamedTuple):
    """What a request needs to enter one stage: all of it, or it waits.

    :param gates: names of gates of this host, the scarcest first: a turn is
        reserved in this order (see the queue).
    :param remote: gates that are kept elsewhere, in an order of their names
        that is the same for all requests of all hosts; what is asked last is
        the last.
    """

    gates: tuple[str, ...]
    remote: tuple[RemoteGate, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Request:
    """One live migration that asks for slots.

    :param migration_uuid: identifies the request; the owner of its slots.
    :param instance_uuid: the instance that migrates.
    :param destination: the host it migrates to.
    :param needs: what it needs for each stage, in their order.
    :param priority: its class: smaller starts earlier, see there.
    :param arrival: its position among the requests of all hosts, smaller is
        earlier; other hosts serve in this order.
    :param held: whether it is passed over until an operator releases it.
    :param ticket: of the first stage. It is pending while the request waits,
        and running from admission until the slots are given back.
        ``ticket.cancel()`` returning True means that it never starts.
    """

    migration_uuid: str
    instance_uuid: str
    destination: str
    needs: tuple[Needs, ...]
    priority: int = priority_lib.Priority.NORMAL
    arrival: int = 0
    held: bool = False
    ticket: Ticket = dataclasses.field(
        default_factory=futures.Future, repr=False
    )

    def __post_init__(self) -> None:
        # A gate that is named twice is still one slot.
        unique = tuple(
            Needs(tuple(dict.fromkeys(n.gates)), n.remote) for n in self.needs
        )
        object.__setattr__(self, 'needs', unique)


def renewed(request: Request) -> Request:
    """Return the same request with a ticket that was not used."""
    return dataclasses.replace(request, ticket=futures.Future())


def is_used(ticket: Ticket) -> bool:
    """Tell whether a request with this ticket has been admitted."""
    return ticket.running() or (ticket.done() and not ticket.cancelled())


def wake_waiters(ticket: Ticket) -> None:
    """Tell who waits for a set of futures that this one was cancelled."""
    # It may be told once only, and this is how to see whether it was.
    if ticket not in futures.wait([ticket], timeout=0).done:
        ticket.set_running_or_notify_cancel()
