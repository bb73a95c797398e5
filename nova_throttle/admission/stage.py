# SPDX-License-Identifier: Apache-2.0

"""One stage: gates whose slots a request gets all at once, or none of them.

Those of this host and those kept elsewhere alike. What enters waits here, and
is taken in its turn.
"""

from collections.abc import Callable
from collections.abc import Mapping
import math

from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import slots
from nova_throttle.admission import snapshot as snapshot_lib

Request = request_lib.Request
Standing = remote.Standing
Waiting = queue.Waiting


class Stage(slots.Slots):
    """Decide which request is next at one set of gates.

    Not thread-safe: the controller holds its lock around every call.

    :param name: of the stage.
    :param gates: the limit of each gate of this host by its name.
    :param patience: see the queue.
    :param is_open: whether any slot of it may be taken now.
    :raises InvalidLimit: if a limit is negative.
    """

    def __init__(
        self,
        name: str,
        gates: Mapping[str, int],
        patience: int,
        is_open: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(name, gates, is_open)
        self.queue = queue.WaitQueue(patience)

    def enter(
        self,
        waiting: Waiting,
        waived: frozenset[request_lib.RemoteGate],
        still: bool,
    ) -> None:
        """Have a request that was queued ask for what it needs elsewhere.

        :param waived: what of it nobody keeps.
        :param still: nothing starts at this host now.
        """
        if waiting.needs.remote:
            free = 0 if still else self.free(waiting.needs.gates)
            self.asking.add(waiting, waived, free)
            self.queue.place(waiting)

    def leave(self, waiting: Waiting) -> None:
        """Forget a request that will never start."""
        self.queue.remove(waiting)
        if waiting.needs.remote:
            self.asking.remove(waiting, Standing.GONE)

    def next(self) -> Waiting | None:
        """Return the first request that can start now."""
        return self.queue.next(self.room)

    def take(self, waiting: Waiting) -> None:
        """Make a request that waits the owner of its slots."""
        self.queue.remove(waiting)
        if waiting.needs.remote:
            self.asking.remove(waiting, Standing.HOLDS)
        for gate in waiting.needs.gates:
            self.gates[gate].acquire(waiting.uuid)

    def grant(self, waiting: Waiting, gate: request_lib.RemoteGate) -> bool:
        """Use a slot of a gate kept elsewhere, keep it, or decline.

        It is kept while others are being asked, if this host has room; and
        for one that insists, whose turn is reserved. What is asked last is
        never kept.

        :returns: whether the request has all it needs now.
        """
        if gate in waiting.waived:
            self.asking.void(waiting, gate)
        self.asking.grant(waiting, gate)
        if waiting.rests:
            self.decline(waiting)
        elif waiting.insists and not gate.is_last:
            self.queue.place(waiting)
            return waiting.eligible and self._may_start(waiting)
        elif waiting.missing:
            if gate.is_last or self.free(waiting.needs.gates) <= 0:
                self.decline(waiting)
        elif self._may_start(waiting):
            return True
        else:
            self.decline(waiting)
        return False

    def decline(self, waiting: Waiting) -> None:
        """Give back what a request has elsewhere."""
        self.asking.decline(waiting)
        self.queue.place(waiting)

    def answer(self, answer: remote.Answer) -> None:
        """Take note that a gate kept elsewhere has no slot, or is none."""
        if isinstance(answer, remote.Refused | remote.Room):
            waiting = self.queue.get(answer.migration_uuid)
            if waiting is not None and answer.gate in waiting.needs.remote:
                self._answer_one(answer, waiting)
            return
        change = self.asking.void
        if isinstance(answer, remote.Waived):
            change = self.asking.waive
        for waiting in self.queue.all():
            if answer.gate in waiting.needs.remote:
                change(waiting, answer.gate)
                self.queue.place(waiting)

    def _answer_one(
        self, answer: remote.Refused | remote.Room, waiting: Waiting
    ) -> None:
        if isinstance(answer, remote.Room):
            self.asking.reopen(waiting, answer.gate)
        elif answer.closed:
            self.asking.shut(waiting, answer.gate)
        elif self.asking.refuse(waiting, answer.gate):
            # Its turn is reserved if this happens too often.
            self.queue.credit(waiting)
        self.queue.place(waiting)

    def defer(
        self, waiting: Waiting, reason: snapshot_lib.WaitReason | None
    ) -> None:
        """Pass a request over until it is told to go on.

        :param reason: why; None lets it go on.
        """
        waiting.deferred = reason
        if waiting.needs.remote:
            self.asking.decline(waiting)
        self.queue.place(waiting)

    def change(self, waiting: Waiting, request: Request, still: bool) -> None:
        """Give what waits another priority, or hold it, or release it.

        :param still: nothing starts at this host now.
        """
        self.queue.change(waiting, request)
        if waiting.needs.remote:
            free = 0 if still else self.free(waiting.needs.gates)
            self.asking.change(waiting, free)
            self.queue.place(waiting)

    def retreat(self) -> None:
        """Let nothing ask elsewhere: nothing starts at this host."""
        for waiting in self.asking.retreat():
            self.queue.place(waiting)

    def refresh(self) -> None:
        """Let as many ask elsewhere as could start."""
        for waiting in self.queue.take_impatient():
            if waiting.needs.remote:
                self.asking.insist(waiting)
        self.asking.ready_up(self.free)

    def free(self, gates: tuple[str, ...]) -> float:
        """Tell how many requests could start, but for what is elsewhere."""
        free = min((self.room(gate) for gate in gates), default=math.inf)
        if free <= 0:
            return 0
        kept = self.reservations()
        return free - max((len(kept.get(g, ())) for g in gates), default=0)

    def reservations(self) -> queue.Reservations:
        """Tell for whom slots are kept, in their order, by gate."""
        return self.queue.reservations(self.room)

    def _may_start(self, waiting: Waiting) -> bool:
        return self.queue.may_start(waiting, self.room)
