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
waits for ever.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import heapq
import itertools

from nova_throttle.admission import request as request_lib

# How often a request may be overtaken at one of its gates before its turn
# is reserved. Small: a reservation costs little (see _reserve).
PATIENCE = 8


@dataclasses.dataclass(order=True, slots=True)
class Waiting:
    """A request that waits, with its place in the order."""

    priority: int
    sequence: int
    request: request_lib.Request = dataclasses.field(compare=False)
    since: float = dataclasses.field(compare=False)
    overtaken: int = dataclasses.field(default=0, compare=False)
    gone: bool = dataclasses.field(default=False, compare=False)


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
    """

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._sequence = itertools.count()
        self._lanes: dict[tuple[str, ...], _Lane] = {}
        self._waiting: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, migration_uuid: str) -> bool:
        return migration_uuid in self._waiting

    def get(self, migration_uuid: str) -> Waiting | None:
        """Return a request that waits, by its migration UUID."""
        return self._waiting.get(migration_uuid)

    def __iter__(self) -> Iterator[Waiting]:
        """Iterate over all that wait, in their order."""
        return iter(sorted(self._waiting.values()))

    def add(self, request: request_lib.Request, now: float) -> None:
        """Put a request behind all others of its priority.

        :param request: the request; its migration UUID must be new here.
        :param now: seconds on the caller's monotonic clock.
        """
        waiting = Waiting(request.priority, next(self._sequence), request, now)
        self._waiting[request.migration_uuid] = waiting
        lane = self._lanes.get(request.gates)
        if lane is None:
            lane = self._lanes[request.gates] = _Lane()
        lane.add(waiting)

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
        self._lanes[request.gates].discard(waiting)
        if self._lanes[request.gates].head() is None:
            del self._lanes[request.gates]
        return True

    def next(
        self, has_room: Callable[[str], bool]
    ) -> request_lib.Request | None:
        """Find the first request whose gates all have room.

        The request stays in the queue. Whoever it overtakes at a gate is
        credited with it.

        :param has_room: tells of a gate's name whether a slot is free.
        :returns: the request, or None if nobody can start now.
        """
        reserved: set[str] = set()
        passed: list[Waiting] = []
        for waiting in self._heads():
            gates = waiting.request.gates
            if all(has_room(g) and g not in reserved for g in gates):
                self._credit(passed, gates)
                return waiting.request
            passed.append(waiting)
            if waiting.overtaken >= self._patience:
                reserved.update(self._reserve(gates, has_room))
        return None

    def reserved_for(
        self, has_room: Callable[[str], bool]
    ) -> dict[str, Waiting]:
        """Tell which gates are kept for whom.

        :returns: the first request in the order that has reserved its turn
            at a gate, by the gate's name.
        """
        found: dict[str, Waiting] = {}
        for waiting in self._heads():
            if waiting.overtaken >= self._patience:
                for gate in self._reserve(waiting.request.gates, has_room):
                    found.setdefault(gate, waiting)
        return found

    def _heads(self) -> list[Waiting]:
        heads = (lane.head() for lane in self._lanes.values())
        return sorted(head for head in heads if head is not None)

    @staticmethod
    def _credit(passed: list[Waiting], gates: tuple[str, ...]) -> None:
        for waiting in passed:
            if not set(gates).isdisjoint(waiting.request.gates):
                waiting.overtaken += 1

    @staticmethod
    def _reserve(
        gates: tuple[str, ...], has_room: Callable[[str], bool]
    ) -> Iterator[str]:
        """Yield the gates that are closed to all who stand behind.

        One gate after the other: the next is closed only once the one
        before it has a slot to spare. So a request for a destination that
        stays busy does not idle the slots of its source meanwhile.
        """
        for gate in gates:
            yield gate
            if not has_room(gate):
                return
