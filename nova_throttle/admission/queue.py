# SPDX-License-Identifier: Apache-2.0

"""Which is next.

The order is that of arrival, with a head start for a higher priority. A
request whose own gates are full is passed over, but only so often: then its
turn is reserved, so that nothing waits for ever. One that lacks a slot
elsewhere, is deferred or held, is never next; it keeps its position.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import heapq
import itertools
import operator

from nova_throttle.admission import priority as priority_lib
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib

# How often a request may be overtaken at one of its gates before its turn
# is reserved. Small: a reservation costs little (see _reserve).
PATIENCE = 8

_ORDER = operator.attrgetter('rank', 'sequence')

# What requests need that stand in one lane.
_Key = tuple[request_lib.Needs, bool]


@dataclasses.dataclass(order=True, slots=True)
class Waiting:
    """A request that waits for a stage, with its position in the order."""

    rank: int
    sequence: int
    request: request_lib.Request = dataclasses.field(compare=False)
    needs: request_lib.Needs = dataclasses.field(compare=False)
    ticket: request_lib.Ticket = dataclasses.field(compare=False)
    since: float = dataclasses.field(compare=False)
    overtaken: int = dataclasses.field(default=0, compare=False)
    # The lane that it stands in.
    at: object = dataclasses.field(default=None, compare=False, repr=False)
    # Why it may not start whatever is free; None if it may.
    deferred: snapshot_lib.WaitReason | None = dataclasses.field(
        default=None, compare=False
    )
    # Gates kept elsewhere that it has no slot of. See asking.py for this
    # and all below.
    missing: tuple[request_lib.RemoteGate, ...] = dataclasses.field(
        default=(), compare=False
    )
    waived: frozenset[request_lib.RemoteGate] = dataclasses.field(
        default=frozenset(), compare=False
    )
    asks: bool = dataclasses.field(default=False, compare=False)
    insists: bool = dataclasses.field(default=False, compare=False)
    refuser: request_lib.RemoteGate | None = dataclasses.field(
        default=None, compare=False
    )
    said: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    @property
    def uuid(self) -> str:
        """The migration UUID."""
        return self.request.migration_uuid

    @property
    def rests(self) -> bool:
        """Whether it may not start whatever is free."""
        return self.deferred is not None or self.request.held

    @property
    def eligible(self) -> bool:
        """Whether only gates of this host can keep it from starting."""
        return not self.missing and not self.rests

    @property
    def lacking(self) -> tuple[request_lib.RemoteGate, ...]:
        """Gates kept elsewhere that it has no slot of, needed or not."""
        return (*self.missing, *self.waived)

    @property
    def lane(self) -> _Key:
        """What it needs: those that need the same stand in one lane."""
        gates = request_lib.Needs(self.needs.gates)
        return self.needs if self.missing else gates, self.rests

    @property
    def item(self) -> 'Item':
        """How it stands in a heap until its rank changes."""
        return self.rank, self.sequence, self


Item = tuple[int, int, Waiting]


def in_order(some: Iterable[Waiting]) -> list[Waiting]:
    """Sort requests that wait, the next first; needs no lock."""
    # By key: a dataclass makes two tuples for each comparison.
    return sorted(some, key=_ORDER)


# How many slots of a gate are free, by its name.
Room = Callable[[str], float]
# For which requests slots are kept, by its name.
Reservations = dict[str, list[Waiting]]


class _Lane:
    """Requests that need the same gates: only the first can be next."""

    def __init__(self) -> None:
        self._heap: list[Item] = []
        self._count = 0

    def add(self, waiting: Waiting) -> None:
        waiting.at = self
        self._count += 1
        # One that has come back is there twice, which does no harm.
        heapq.heappush(self._heap, waiting.item)

    def discard(self, waiting: Waiting) -> None:
        waiting.at = None
        self._count -= 1
        # A heap cannot drop from its middle: forget in bulk, so that what
        # left cannot pile up behind a head that waits long.
        if len(self._heap) > 2 * self._count:
            here = {i[:2]: i for i in self._heap if self._has(i)}
            self._heap = list(here.values())
            heapq.heapify(self._heap)

    def head(self) -> Waiting | None:
        while self._heap:
            if self._has(self._heap[0]):
                return self._heap[0][2]
            heapq.heappop(self._heap)
        return None

    def _has(self, item: Item) -> bool:
        rank, _, waiting = item
        return waiting.at is self and waiting.rank == rank


class WaitQueue:
    """Keep requests in order and choose the next that may start.

    An item stays in the queue until it is taken out, so that one which
    is being looked at can still be cancelled.

    Not thread-safe: the controller holds its lock around every call.

    :param patience: how often a request may be overtaken before its turn
        is reserved.
    """

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._sequence = itertools.count()
        self._sequence_before = itertools.count(-1, -1)
        self._lanes: dict[_Key, _Lane] = {}
        self._waiting: dict[str, tuple[Waiting, _Key]] = {}
        # Whose patience has come to its end since this was emptied.
        self._impatient: list[Waiting] = []

    def get(self, migration_uuid: str) -> Waiting | None:
        """Return a request that waits, by its migration UUID."""
        found = self._waiting.get(migration_uuid)
        return found[0] if found else None

    def number(self) -> int:
        """Return a position that is behind all that came so far."""
        return next(self._sequence)

    def all(self) -> list[Waiting]:
        """Return all that wait, in no order: see in_order()."""
        return [waiting for waiting, _ in self._waiting.values()]

    def add(
        self,
        request: request_lib.Request,
        needs: request_lib.Needs,
        ticket: request_lib.Ticket,
        now: float,
        first: bool = False,
        stood: Waiting | None = None,
    ) -> Waiting:
        """Put a request behind, or before, all others of its priority.

        Or where it stood before: the position, the time that it has waited
        and what overtook it are then as they were.

        One that needs slots elsewhere waits for them until place() is called
        after they are not missing any more.

        :param request: the request; its migration UUID must be new here.
        :param needs: what it waits for.
        :param ticket: of this stage.
        :param now: seconds on the caller's monotonic clock.
        :param first: put it before all others.
        :param stood: how it waited before, if it did.
        :returns: its position in the order.
        """
        sequence = next(self._sequence_before if first else self._sequence)
        if stood is not None:
            sequence, now = stood.sequence, stood.since
        waiting = Waiting(
            priority_lib.rank(request.priority, sequence),
            sequence,
            request,
            needs,
            ticket,
            now,
            overtaken=stood.overtaken if stood else 0,
            missing=needs.remote,
        )
        self._enter_lane(waiting)
        return waiting

    def change(self, waiting: Waiting, request: request_lib.Request) -> None:
        """Put a request where it stands as what it has become."""
        self._leave_lane(waiting)
        waiting.request = request
        waiting.rank = priority_lib.rank(request.priority, waiting.sequence)
        self._enter_lane(waiting)

    def place(self, waiting: Waiting) -> None:
        """Note that what a request lacks has changed, or may have."""
        if self._waiting[waiting.uuid][1] != waiting.lane:
            self._leave_lane(waiting)
            self._enter_lane(waiting)

    def remove(self, waiting: Waiting) -> None:
        """Take a request out."""
        self._leave_lane(waiting)
        del self._waiting[waiting.uuid]

    def next(self, room: Room) -> Waiting | None:
        """Find the first request whose gates all have room.

        The request stays in the queue. Whatever it overtakes at a gate is
        credited with it.

        :returns: the request, or None if none can start now.
        """
        reserved: Reservations = {}
        passed: list[Waiting] = []
        for waiting in self.heads():
            if waiting.eligible and _fits(waiting, room, reserved):
                self._credit_all(passed, waiting.needs.gates)
                return waiting
            passed.append(waiting)
            self._reserve(waiting, room, reserved)
        return None

    def heads(self) -> list[Waiting]:
        """Return the first of all that need the same, in their order."""
        heads = (lane.head() for lane in self._lanes.values())
        return in_order(filter(None, heads))

    def may_start(self, waiting: Waiting, room: Room) -> bool:
        """Tell whether a request could start if it lacked nothing elsewhere.

        If so, whatever stands before it is credited: it is about to.
        """
        reserved: Reservations = {}
        passed = [head for head in self.heads() if head < waiting]
        for head in passed:
            self._reserve(head, room, reserved)
        if not _fits(waiting, room, reserved):
            return False
        self._credit_all(passed, waiting.needs.gates)
        return True

    def credit(self, waiting: Waiting) -> None:
        """Note that a request was passed over."""
        waiting.overtaken += 1
        # Each time: what it has elsewhere may have been lost since the last.
        if waiting.overtaken >= self._patience:
            self._impatient.append(waiting)

    def take_impatient(self) -> list[Waiting]:
        """Return those that now get their turn reserved, each once."""
        impatient, self._impatient = self._impatient, []
        return impatient

    def reservations(self, room: Room) -> Reservations:
        """Tell for whom slots are kept, in their order, by gate."""
        reserved: Reservations = {}
        for waiting in self.heads():
            self._reserve(waiting, room, reserved)
        return reserved

    def _enter_lane(self, waiting: Waiting) -> None:
        key = waiting.lane
        self._waiting[waiting.uuid] = waiting, key
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.add(waiting)

    def _leave_lane(self, waiting: Waiting) -> None:
        key = self._waiting[waiting.uuid][1]
        lane = self._lanes[key]
        lane.discard(waiting)
        if lane.head() is None:
            del self._lanes[key]

    def _credit_all(
        self, passed: list[Waiting], gates: tuple[str, ...]
    ) -> None:
        used = set(gates)
        for waiting in passed:
            if not used.isdisjoint(waiting.needs.gates):
                self.credit(waiting)

    def _reserve(
        self, waiting: Waiting, room: Room, reserved: Reservations
    ) -> None:
        """Keep slots from all who stand behind one that waited for long.

        One gate after the other: a slot of the next is kept only once the
        one before it has a slot to spare. So a request for a destination
        that stays busy does not idle a slot of its source meanwhile. The
        scarcest of all are gates that are kept elsewhere.
        """
        if waiting.overtaken < self._patience or not waiting.eligible:
            return
        for gate in waiting.needs.gates:
            spare = _is_free(gate, room, reserved)
            reserved.setdefault(gate, []).append(waiting)
            if not spare:
                return


def _fits(waiting: Waiting, room: Room, reserved: Reservations) -> bool:
    """Tell whether all gates of a request have a slot for it."""
    # Not all(): this is where a long queue spends its time.
    for gate in waiting.needs.gates:  # noqa: SIM110
        if not _is_free(gate, room, reserved):
            return False
    return True


def _is_free(gate: str, room: Room, reserved: Reservations) -> bool:
    """Tell whether a gate has more slots free than are kept."""
    return room(gate) > len(reserved.get(gate, ()))
