# SPDX-License-Identifier: Apache-2.0

"""What each request of a host waits for, and what it owns.

A request is known from the moment it waits until it owns nothing any more.
It waits for one stage at most, and owns those before it; but for the deck,
see the stages.
"""

from collections.abc import Callable
from concurrent import futures
import dataclasses

from nova_throttle.admission import effects
from nova_throttle.admission import priority
from nova_throttle.admission import queue
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import stages as stages_lib
from nova_throttle import exception

Request = request_lib.Request
Ticket = request_lib.Ticket


@dataclasses.dataclass(eq=False, slots=True)
class Member:
    """A request: what it waits for, and the ticket of each stage it owns.

    Both by the index of the stage.
    """

    request: Request
    waits: dict[int, queue.Waiting] = dataclasses.field(default_factory=dict)
    owned: dict[int, Ticket] = dataclasses.field(default_factory=dict)
    # How it waited for the last stage that it entered.
    stood: queue.Waiting | None = None


class Members:
    """The requests of a host.

    Not thread-safe: the controller holds its lock around every call.

    :param stages: the stages of the host.
    """

    def __init__(self, stages: stages_lib.Stages) -> None:
        self._stages = stages
        self._members: dict[str, Member] = {}
        self._ended: list[effects.End] = []

    def get(self, migration_uuid: str) -> Member | None:
        """Return a request that is known."""
        return self._members.get(migration_uuid)

    def waiting(self, migration_uuid: str) -> Member:
        """Return a request that waits.

        :raises NotQueued: if it does not.
        """
        member = self._members.get(migration_uuid)
        if member is None or not member.waits:
            raise exception.NotQueued(migration_uuid=migration_uuid)
        return member

    def go_behind_all(
        self, member: Member, index: int, ticket: Ticket, now: float
    ) -> None:
        """Have a request stand behind all that were accepted before now.

        Here, and in the order of all hosts as far as it is known here.
        """
        latest = max(m.request.arrival for m in self._members.values())
        request = dataclasses.replace(member.request, arrival=latest)
        sequence = self._stages[0].queue.number()
        member.request = request
        member.stood = queue.Waiting(
            priority.rank(request.priority, sequence),
            sequence,
            request,
            request.needs[index],
            ticket,
            now,
        )

    def count(self) -> tuple[int, int]:
        """Return how many are in progress, and how many wait."""
        owners = sum(bool(m.owned) for m in self._members.values())
        waiting = sum(bool(m.waits) for m in self._members.values())
        return owners, waiting

    def check(self, request: Request, again: bool = False) -> None:
        """See that a request is new and can be served.

        :param again: it may be in progress already.
        :raises DuplicateRequest: if it is known, or was.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        known = self._members.get(request.migration_uuid)
        may_come = known is None or (again and not known.waits)
        if not may_come or request_lib.is_used(request.ticket):
            raise exception.DuplicateRequest(
                migration_uuid=request.migration_uuid
            )
        self._stages.check(request)

    def enter(
        self,
        member: Member,
        index: int,
        ticket: Ticket,
        now: float,
        first: bool = False,
    ) -> queue.Waiting:
        """Have a request wait for a stage."""
        stage, request = self._stages[index], member.request
        self._members[request.migration_uuid] = member
        waiting = member.waits[index] = stage.queue.add(
            request, request.needs[index], ticket, now, first, member.stood
        )
        return waiting

    def change(
        self, member: Member, request: Request, still: Callable[[int], bool]
    ) -> None:
        """Give a request that waits another priority, or hold it.

        :param still: tells whether nothing enters a stage now.
        """
        member.request = request
        for index, waiting in member.waits.items():
            self._stages[index].change(waiting, request, still(index))

    def take(self, index: int, waiting: queue.Waiting) -> bool:
        """Make an owner of a request, unless its ticket was cancelled."""
        member = self._members[waiting.uuid]
        # The one instant that decides between cancel and admission.
        if not waiting.ticket.set_running_or_notify_cancel():
            self.leave(member)
            return False
        self._stages[index].take(waiting)
        del member.waits[index]
        member.stood = waiting
        member.owned[index] = waiting.ticket
        if index == self._stages.deck:
            # It has begun: what it goes on to wait for can't be cancelled by
            # who does not know that.
            member.waits[self._stages.last].ticket = futures.Future()
        elif index == self._stages.last:
            self.leave_deck(member)
        return True

    def leave_deck(self, member: Member) -> None:
        """Have a request neither be on deck nor wait for it."""
        deck = self._stages.deck
        if deck in member.waits:
            self._stages[deck].leave(member.waits.pop(deck))
        if deck in member.owned:
            self.give_back(member, deck)

    def adopt(self, request: Request, count: int) -> None:
        """Make a request that is in progress the owner of some stages."""
        member = self._members[request.migration_uuid] = Member(request)
        for index in range(count):
            ticket: Ticket = futures.Future() if index else request.ticket
            ticket.set_running_or_notify_cancel()
            self._stages[index].adopt(request, request.needs[index])
            member.owned[index] = ticket

    def leave(self, member: Member) -> None:
        """Take a request out of each queue."""
        waits, member.waits = member.waits, {}
        for index, waiting in waits.items():
            self._stages[index].leave(waiting)
        self._forget(member)

    def give_up(
        self, member: Member, error: BaseException | None = None
    ) -> None:
        """Take a request out of each queue, and have its tickets end."""
        # One ticket may be that of two waits.
        for ticket in {waiting.ticket for waiting in member.waits.values()}:
            if ticket.set_running_or_notify_cancel():
                given_up = error or futures.CancelledError()
                self._ended.append(effects.End(ticket, given_up))
        self.leave(member)

    def give_back(
        self, member: Member, index: int, error: BaseException | None = None
    ) -> None:
        """Take the slots of one stage back."""
        ticket = member.owned.pop(index)
        request = member.request
        self._stages[index].give_back(request, request.needs[index])
        self._ended.append(effects.End(ticket, error))
        self._forget(member)

    def end(self, member: Member, error: BaseException | None) -> None:
        """Take all slots back, and what it waits for out of the queue."""
        if member.waits:
            self.give_up(member, error)
        for index in sorted(member.owned):
            self.give_back(member, index, error)

    def take_ended(self) -> tuple[effects.End, ...]:
        """Return the tickets that are over, each once."""
        if not self._ended:
            return ()
        ended, self._ended = tuple(self._ended), []
        return ended

    def _forget(self, member: Member) -> None:
        if not member.waits and not member.owned:
            del self._members[member.request.migration_uuid]
