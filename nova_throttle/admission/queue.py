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

"""Who is next.

The order is (priority, arrival). A request whose own gates are full is
passed over, but only so often: then its turn is reserved, so that nobody
waits for ever. A request that needs another host's consent is nobody's next
until that is given.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import heapq
import itertools
import operator

from nova_throttle.admission import request as request_lib

# How often a request may be overtaken at one of its gates before its turn
# is reserved. Small: a reservation costs little (see _reserve).
PATIENCE = 8

# Starts no gate's name.
_CONSENT_OF = '\0'

_ORDER = operator.attrgetter('priority', 'sequence')


@dataclasses.dataclass(order=True, slots=True)
class Waiting:
    """A request that waits, with its place in the order."""

    priority: int
    sequence: int
    request: request_lib.Request = dataclasses.field(compare=False)
    since: float = dataclasses.field(compare=False)
    overtaken: int = dataclasses.field(default=0, compare=False)
    gone: bool = dataclasses.field(default=False, compare=False)
    # Whether it needs no consent of another host, or has it.
    consented: bool = dataclasses.field(default=True, compare=False)

    @property
    def lane(self) -> tuple[str, ...]:
        """What it needs: those that need the same stand in one lane."""
        if self.consented:
            return self.request.gates
        return (*self.request.gates, _CONSENT_OF + self.request.consent)


def in_order(some: Iterable[Waiting]) -> list[Waiting]:
    """Sort requests that wait, the next first; needs no lock."""
    # By key: a dataclass makes two tuples for each comparison.
    return sorted(some, key=_ORDER)


# How many slots of a gate are free, by its name.
Room = Callable[[str], float]
# Who has a slot of a gate kept, by its name.
Reservations = dict[str, list[Waiting]]


class _Lane:
    """Requests that need the same gates: only the first can be next."""

    def __init__(self) -> None:
        self._heap: list[Waiting] = []
        self._gone = 0

    def add(self, waiting: Waiting) -> None:
        heapq.heappush(self._heap, waiting)

    def discard(self, waiting: Waiting) -> None:
        waiting.gone = True
        self._gone += 1
        # A heap can't drop from its middle: forget in bulk, so that what
        # left can't pile up behind a head that waits long.
        if self._gone * 2 > len(self._heap):
            self._heap = [w for w in self._heap if not w.gone]
            heapq.heapify(self._heap)
            self._gone = 0

    def head(self) -> Waiting | None:
        while self._heap and self._heap[0].gone:
            heapq.heappop(self._heap)
            self._gone -= 1
        return self._heap[0] if self._heap else None


class WaitQueue:
    """Keep requests in order and choose the next that may start.

    An item stays in the queue until it is taken out, so that one which
    is being looked at can still be cancelled.

    Not thread-safe: the controller holds its lock around every call.

    :param patience: how often a request may be overtaken before its turn
        is reserved.
    :param by_arrival: the order is that of the requests' own arrival, not
        the one in which they are added.
    """

    def __init__(
        self, patience: int = PATIENCE, by_arrival: bool = False
    ) -> None:
        self._patience = patience
        self._by_arrival = by_arrival
        self._sequence = itertools.count()
        self._sequence_before = itertools.count(-1, -1)
        self._lanes: dict[tuple[str, ...], _Lane] = {}
        self._waiting: dict[str, Waiting] = {}
        # Whose patience has come to its end since this was emptied.
        self._impatient: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, migration_uuid: str) -> bool:
        return migration_uuid in self._waiting

    def get(self, migration_uuid: str) -> Waiting | None:
        """Return a request that waits, by its migration UUID."""
        return self._waiting.get(migration_uuid)

    def all(self) -> list[Waiting]:
        """Return all that wait, in no order: see in_order()."""
        return list(self._waiting.values())

    def add(
        self, request: request_lib.Request, now: float, first: bool = False
    ) -> Waiting:
        """Put a request behind, or before, all others of its priority.

        One that needs a consent waits for it until consent() is called.

        :param request: the request; its migration UUID must be new here.
        :param now: seconds on the caller's monotonic clock.
        :param first: put it before all others.
        :returns: its place in the order.
        """
        if self._by_arrival:
            place = request.arrival
        else:
            place = next(self._sequence_before if first else self._sequence)
        waiting = Waiting(
            request.priority,
            place,
            request,
            now,
            consented=not request.consent,
        )
        self._line_up(waiting)
        return waiting

    def consent(self, migration_uuid: str, given: bool = True) -> None:
        """Note that a request has another host's consent, or lost it."""
        waiting = self._waiting.get(migration_uuid)
        if waiting is not None and waiting.consented is not given:
            self._leave_lane(waiting)
            # Another item: its old one is still somewhere in the lane.
            self._line_up(
                dataclasses.replace(waiting, gone=False, consented=given)
            )

    def _line_up(self, waiting: Waiting) -> None:
        self._waiting[waiting.request.migration_uuid] = waiting
        lane = self._lanes.get(waiting.lane)
        if lane is None:
            lane = self._lanes[waiting.lane] = _Lane()
        lane.add(waiting)

    def _leave_lane(self, waiting: Waiting) -> None:
        self._lanes[waiting.lane].discard(waiting)
        if self._lanes[waiting.lane].head() is None:
            del self._lanes[waiting.lane]

    def remove(self, request: request_lib.Request) -> bool:
        """Take a request out.

        :param request: the very object: its migration UUID may have come
            again, in another request.
        :returns: whether it waited here.
        """
        waiting = self._waiting.get(request.migration_uuid)
        if waiting is None or waiting.request is not request:
            return False
        del self._waiting[request.migration_uuid]
        self._leave_lane(waiting)
        return True

    def next(self, room: Room) -> request_lib.Request | None:
        """Find the first request whose gates all have room.

        The request stays in the queue. Whoever it overtakes at a gate is
        credited with it.

        :returns: the request, or None if nobody can start now.
        """
        reserved: Reservations = {}
        passed: list[Waiting] = []
        for waiting in self._heads():
            if waiting.consented and _fits(waiting, room, reserved):
                self._credit(passed, waiting.request.gates)
                return waiting.request
            passed.append(waiting)
            self._reserve(waiting, room, reserved)
        return None

    def may_start(self, waiting: Waiting, room: Room) -> bool:
        """Tell whether a request could start if it had its consent.

        If so, whoever stands before it is credited: it is about to.
        """
        reserved: Reservations = {}
        passed = [head for head in self._heads() if head < waiting]
        for head in passed:
            self._reserve(head, room, reserved)
        if not _fits(waiting, room, reserved):
            return False
        self._credit(passed, waiting.request.gates)
        return True

    def take_impatient(self) -> list[Waiting]:
        """Return who now gets its turn reserved, each once."""
        impatient, self._impatient = self._impatient, []
        return impatient

    def reservations(self, room: Room) -> Reservations:
        """Tell for whom slots are kept, in their order, by gate."""
        reserved: Reservations = {}
        for waiting in self._heads():
            self._reserve(waiting, room, reserved)
        return reserved

    def _heads(self) -> list[Waiting]:
        heads = (lane.head() for lane in self._lanes.values())
        return in_order(filter(None, heads))

    def _credit(self, passed: list[Waiting], gates: tuple[str, ...]) -> None:
        for waiting in passed:
            if not set(gates).isdisjoint(waiting.request.gates):
                waiting.overtaken += 1
                # Each time: its consent may have been lost since the last.
                if waiting.overtaken >= self._patience:
                    self._impatient.append(waiting)

    def _reserve(
        self, waiting: Waiting, room: Room, reserved: Reservations
    ) -> None:
        """Keep slots from all who stand behind one that waited for long.

        One gate after the other: a slot of the next is kept only once the
        one before it has a slot to spare. So a request for a destination
        that stays busy does not idle a slot of its source meanwhile. The
        scarcest of all is the consent of another host.
        """
        if waiting.overtaken < self._patience or not waiting.consented:
            return
        for gate in waiting.request.gates:
            spare = _is_free(gate, room, reserved)
            reserved.setdefault(gate, []).append(waiting)
            if not spare:
                return


def _fits(waiting: Waiting, room: Room, reserved: Reservations) -> bool:
    """Tell whether all gates of a request have a slot for it."""
    gates = waiting.request.gates
    return all(_is_free(gate, room, reserved) for gate in gates)


def _is_free(gate: str, room: Room, reserved: Reservations) -> bool:
    """Tell whether a gate has more slots free than are kept."""
    return room(gate) > len(reserved.get(gate, ()))
