# SPDX-License-Identifier: Apache-2.0

"""Which of the requests that wait ask for slots elsewhere.

As many ask as could start here, first in the order first. A slot that is
granted is used at once or given back: it is kept only while others are being
asked, or for a request that was passed over for too long. That one collects
its slots in the one order that all hosts have, so no circle can arise. What
is asked last is asked by who has all else, and by who waits for room there.
"""

from collections.abc import Callable
import functools
import heapq

from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib

Standing = remote.Standing
Waiting = queue.Waiting

# How many more requests with these gates could start now.
Free = Callable[[tuple[str, ...]], float]


class _Line:
    """Requests that need the same, of this host and elsewhere."""

    def __init__(self) -> None:
        self.members: dict[str, Waiting] = {}
        self.asking: dict[str, Waiting] = {}
        # Those that do not ask, in their order; some are here in vain.
        self.idle: list[queue.Item] = []

    def enter(self, waiting: Waiting, free: float) -> None:
        """Have a request ask if it could start, or is the first."""
        is_first = all(waiting < other for other in self.asking.values())
        may_ask = free > len(self.asking) or (free > 0 and is_first)
        waiting.insists, waiting.refuser = False, None
        if may_ask and not waiting.rests:
            self.ask(waiting)
        else:
            self.rest(waiting)

    def rest(self, waiting: Waiting) -> None:
        """Have a request wait until more could start."""
        self.asking.pop(waiting.uuid, None)
        waiting.asks = waiting.insists = False
        waiting.refuser = None
        heapq.heappush(self.idle, waiting.item)

    def ask(self, waiting: Waiting) -> None:
        waiting.asks = True
        self.asking[waiting.uuid] = waiting

    def next_idle(self) -> Waiting | None:
        while self.idle:
            rank, _, waiting = self.idle[0]
            here = self.members.get(waiting.uuid) is waiting
            here = here and waiting.rank == rank
            if here and not waiting.asks and not waiting.rests:
                return waiting
            heapq.heappop(self.idle)
        return None


class Asking:
    """Says how requests of one stage stand to the gates kept elsewhere.

    Not thread-safe: the controller holds its lock around every call.
    """

    def __init__(self) -> None:
        self._lines: dict[request_lib.Needs, _Line] = {}
        self._wants: list[remote.Want] = []

    def take_wants(self) -> list[remote.Want]:
        """Return what has changed, in its order, each once."""
        wants, self._wants = self._wants, []
        return wants

    def add(
        self,
        waiting: Waiting,
        waived: frozenset[request_lib.RemoteGate],
        free: float,
    ) -> None:
        """Add a request that waits.

        :param waived: gates of it that nobody keeps.
        :param free: how many could start at this host.
        """
        waiting.waived = waived
        self._drop(waiting)
        line = self._lines.get(waiting.needs)
        if line is None:
            line = self._lines[waiting.needs] = _Line()
        line.members[waiting.uuid] = waiting
        line.enter(waiting, free)
        self._say(waiting)

    def remove(self, waiting: Waiting, standing: Standing) -> None:
        """Note that a request does not wait any more.

        :param standing: HOLDS if it starts, GONE if it never will.
        """
        line = self._lines[waiting.needs]
        del line.members[waiting.uuid]
        line.asking.pop(waiting.uuid, None)
        if not line.members:
            del self._lines[waiting.needs]
        self.say_all(waiting.request, waiting.needs, standing)

    def say_all(
        self,
        request: request_lib.Request,
        needs: request_lib.Needs,
        standing: Standing,
    ) -> None:
        """Say the same of a request at all its gates."""
        for gate in needs.remote:
            self._wants.append(remote.Want(request, gate, standing))

    def grant(self, waiting: Waiting, gate: request_lib.RemoteGate) -> None:
        """Note that a request has a slot; the others are asked, if any."""
        waiting.missing = tuple(g for g in waiting.missing if g != gate)
        if waiting.refuser == gate:
            waiting.refuser = None
        self._say(waiting)

    def decline(self, waiting: Waiting) -> None:
        """Give back what a request has, and let it wait for its turn."""
        self._drop(waiting)
        self._lines[waiting.needs].rest(waiting)
        self._say(waiting)

    def change(self, waiting: Waiting, free: float) -> None:
        """Give back what a request has, and say at all gates what it is now.

        :param free: how many could start at this host.
        """
        waiting.said = ()
        self._drop(waiting)
        line = self._lines[waiting.needs]
        line.asking.pop(waiting.uuid, None)
        line.enter(waiting, free)
        self._say(waiting)

    def refuse(self, waiting: Waiting, gate: request_lib.RemoteGate) -> bool:
        """Note that a gate has no slot now.

        What else a request has is given back, and asked for again when that
        gate has one.

        :returns: whether it gave a slot back.
        """
        stands = dict(zip(waiting.needs.remote, waiting.said, strict=True))
        if stands[gate] is not Standing.READY:
            return False
        gave = self._drop(waiting)
        waiting.refuser = gate
        self._say(waiting)
        return gave

    def shut(self, waiting: Waiting, gate: request_lib.RemoteGate) -> None:
        """Note that a gate has no slot for long: nothing is kept for it."""
        stands = dict(zip(waiting.needs.remote, waiting.said, strict=True))
        if stands[gate] in (Standing.READY, Standing.INSISTS):
            waiting.insists = False
            self._drop(waiting)
            waiting.refuser = gate
            self._say(waiting)

    def reopen(self, waiting: Waiting, gate: request_lib.RemoteGate) -> None:
        """Note that a gate may have room: all others are asked again."""
        if waiting.refuser == gate:
            waiting.refuser = None
            self._say(waiting)

    def insist(self, waiting: Waiting) -> None:
        """Have slots kept for a request, one gate after the other."""
        line = self._lines.get(waiting.needs)
        here = line is not None and line.members.get(waiting.uuid) is waiting
        if line is None or not here or waiting.rests or waiting.eligible:
            return
        waiting.insists = True
        line.ask(waiting)
        # It may keep those only that come before all it lacks.
        first = waiting.needs.remote.index(_first_missing(waiting))
        waiting.missing = tuple(
            gate
            for gate in waiting.needs.remote[first:]
            if gate not in waiting.waived
        )
        self._say(waiting)

    def void(self, waiting: Waiting, gate: request_lib.RemoteGate) -> None:
        """Note that a slot that was granted is void, or waived no more."""
        waiting.waived -= {gate}
        if gate not in waiting.missing:
            waiting.missing += (gate,)
        if waiting.insists:
            self.insist(waiting)
        self._say(waiting)

    def waive(self, waiting: Waiting, gate: request_lib.RemoteGate) -> None:
        """Note that a gate is not kept."""
        if not waiting.insists:
            # What it has elsewhere may not wait for room at this host.
            self._drop(waiting)
        if waiting.refuser == gate:
            waiting.refuser = None
        waiting.waived |= {gate}
        waiting.missing = tuple(g for g in waiting.missing if g != gate)
        self._say(waiting)

    def ready_up(self, free: Free) -> None:
        """Let as many ask as could start."""
        if not self._lines:
            return
        free = functools.cache(free)
        for line in self._lines.values():
            if not line.idle:
                continue
            while (waiting := line.next_idle()) is not None:
                if free(waiting.needs.gates) <= len(line.asking):
                    break
                heapq.heappop(line.idle)
                line.ask(waiting)
                self._say(waiting)

    def retreat(self) -> list[Waiting]:
        """Let none ask: nothing starts at this host.

        :returns: those that did.
        """
        asking = [
            waiting
            for line in self._lines.values()
            for waiting in line.asking.values()
        ]
        for waiting in asking:
            self.decline(waiting)
        return asking

    def _drop(self, waiting: Waiting) -> bool:
        lacks = tuple(
            gate for gate in waiting.needs.remote if gate not in waiting.waived
        )
        gave = len(lacks) > len(waiting.missing)
        waiting.missing = lacks
        return gave

    def _say(self, waiting: Waiting) -> None:
        said = tuple(_standing(waiting, g) for g in waiting.needs.remote)
        before = waiting.said or (None,) * len(said)
        waiting.said = said
        for gate, old, new in zip(
            waiting.needs.remote, before, said, strict=True
        ):
            if new is not old:
                self._wants.append(remote.Want(waiting.request, gate, new))


def _standing(waiting: Waiting, gate: request_lib.RemoteGate) -> Standing:
    if gate not in waiting.missing and gate not in waiting.waived:
        return Standing.KEEPS
    if not waiting.asks:
        return Standing.WAITS
    if waiting.insists and gate in waiting.missing:
        first = _first_missing(waiting)
        return Standing.INSISTS if gate == first else Standing.WAITS
    if waiting.refuser is not None:
        is_next = waiting.refuser == gate
    else:
        is_next = not gate.is_last or waiting.missing == (gate,)
    return Standing.READY if is_next else Standing.WAITS


def _first_missing(waiting: Waiting) -> request_lib.RemoteGate:
    return next(g for g in waiting.needs.remote if g in waiting.missing)
