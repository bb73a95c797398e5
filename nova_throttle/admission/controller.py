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

"""Requests meet gates.

A request gets all its slots at once or none; whoever frees a slot hands it
to the next request under the lock; once closed, nothing starts.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import functools
import math
import threading
import time

from nova_throttle.admission import consent as consent_lib
from nova_throttle.admission import limiter
from nova_throttle.admission import queue
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.admission import view
from nova_throttle import exception

Request = request_lib.Request
Standstill = standstill.Standstill


class Controller:
    """Decide when each request may start.

        throttle = Controller({'source': 1}, start=spawn_the_work)
        throttle.submit(request)                  # starts now, or waits
        request.ticket.cancel()                   # True: it never starts
        throttle.finish(request.migration_uuid)   # starts the next

    All methods may be called from any thread, and from ``start``: what has
    room then starts when that ``start`` returns.

    :param gates: the limit of each gate by its name; 0 is unlimited.
    :param start: called with each admitted request, without a lock held,
        in the thread that made room for it. It must return soon. If it
        raises, the slots are released and the ticket gets the exception.
    :param consents: who asks other hosts for their consent; nobody's is
        needed without one.
    :param patience: see the queue.
    :param by_arrival: see the queue.
    :param clock: seconds, monotonic.
    :raises InvalidLimit: if a limit is negative.
    """

    def __init__(
        self,
        gates: Mapping[str, int],
        start: Callable[[Request], None],
        *,
        consents: consent_lib.Consents | None = None,
        patience: int = queue.PATIENCE,
        by_arrival: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gates = {n: limiter.Limiter(n, s) for n, s in gates.items()}
        self._start = start
        self._clock = clock
        self._queue = queue.WaitQueue(patience, by_arrival)
        self._running: dict[str, Request] = {}
        self._standstill: set[Standstill] = set()
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._consents = consents or consent_lib.Consents()
        self._consents.bind(self, self._lock)

    def __repr__(self) -> str:
        state = 'closed' if self.closed else 'open'
        return (
            f'<Controller {state}: {len(self._running)} in progress, '
            f'{len(self._queue)} queued, {list(self._gates.values())}>'
        )

    @property
    def closed(self) -> bool:
        """Whether stopping has begun."""
        return Standstill.STOPPING in self._standstill

    def submit(self, request: Request) -> None:
        """Accept a request: it starts when all its gates have room.

        One whose ticket was cancelled before is dropped.

        :raises AdmissionClosed: once stopping has begun.
        :raises DuplicateRequest: if it waits, is in progress or is over.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        with self._lock:
            self._check(request)
            admitted = self._enqueue(request)
        self._watch(request)
        self._launch(admitted)

    def resubmit(self, request: Request) -> None:
        """Put a request that was accepted before at the head of the queue.

        It may be in progress: then its slots are released first. A service
        that stops keeps it in the queue.

        :raises DuplicateRequest: if it waits already.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        with self._lock:
            before = self._running.get(request.migration_uuid)
            self._check_new(request, before)
            if before is not None:
                self._release(before)
            admitted = self._enqueue(request, first=True)
        self._watch(request)
        if before is not None:
            self._punch(before, None)
        self._launch(admitted)

    def adopt(self, request: Request) -> None:
        """Note a request that is in progress without our having started it.

        Its slots count even beyond the limit, as after a limit was lowered.

        :raises DuplicateRequest: if it waits or is in progress.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        with self._lock:
            self._check_new(request)
            request.ticket.set_running_or_notify_cancel()
            for gate in request.gates:
                self._gates[gate].adopt(request.migration_uuid)
            self._running[request.migration_uuid] = request
            self._consents.adopted(request)
        self._consents.flush()

    def cancel(self, migration_uuid: str) -> bool:
        """Take a request out of the queue.

        :returns: True if it waited: it never starts. False if it is in
            progress or not known.
        """
        with self._lock:
            waiting = self._queue.get(migration_uuid)
        return waiting is not None and waiting.request.ticket.cancel()

    def finish(
        self, migration_uuid: str, error: BaseException | None = None
    ) -> bool:
        """Release the slots of a request that is over; start the next.

        :param error: what ended it, for whoever holds the ticket.
        :returns: whether it was in progress: finishing twice is harmless.
        """
        with self._lock:
            request = self._running.get(migration_uuid)
            if request is not None:
                self._release(request)
            admitted = self._admit()
        try:
            self._launch(admitted)
        finally:
            if request is not None:
                self._punch(request, error)
        return request is not None

    def offer(
        self,
        migration_uuid: str,
        keep: bool = False,
        valid: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Start a request that another host has a slot for, or decline.

        :param keep: that host keeps the slot: take it in any case, and
            start as soon as this host has room.
        :param valid: whether the offer holds still, asked under the lock.
        :returns: whether the slot was taken.
        """
        with self._lock:
            waiting = self._queue.get(migration_uuid)
            if waiting is None or self._standstill or not valid():
                return False
            if not self._queue.may_start(waiting, self._room):
                if keep:
                    self._queue.consent(migration_uuid)
                return keep
            request = waiting.request
            taken = self._take(request)
            self._refresh()
        self._launch(request if taken else None)
        return taken

    def consent(self, migration_uuids: Iterable[str]) -> None:
        """Note that requests need no other host's consent any more."""
        with self._lock:
            for uuid in migration_uuids:
                self._queue.consent(uuid)
            admitted = self._admit()
        self._launch(admitted)

    def resize(self, gate: str, limit: int) -> None:
        """Change a gate's limit, at once.

        A raised limit starts as many as now fit; a lowered one lets
        present owners finish.

        :param limit: slots; 0 is unlimited.
        :raises UnknownGate: if there is no such gate.
        :raises InvalidLimit: if the limit is negative.
        """
        with self._lock:
            if gate not in self._gates:
                raise exception.UnknownGate(gate=gate)
            self._gates[gate].resize(limit)
            admitted = self._admit()
        self._launch(admitted)

    def halt(self, reason: Standstill) -> None:
        """Start nothing until this reason is taken; twice is harmless."""
        with self._lock:
            self._standstill.add(reason)
            self.revoke(self._consents.retreat())
        self._consents.flush()

    def resume(self, reason: Standstill) -> None:
        """Take a reason; what waits starts if there is no other."""
        with self._lock:
            self._standstill.discard(reason)
            admitted = self._admit()
        self._launch(admitted)

    def waiting(self) -> tuple[Request, ...]:
        """Return the queued requests in their order."""
        with self._lock:
            waiting = self._queue.all()
        return tuple(w.request for w in queue.in_order(waiting))

    def gate(self, name: str) -> snapshot_lib.GateState:
        """Return what is true of one gate, without a look at the queue.

        :raises UnknownGate: if there is no such gate.
        """
        with self._lock:
            if name not in self._gates:
                raise exception.UnknownGate(gate=name)
            return self._state(name)

    def snapshot(self) -> snapshot_lib.Snapshot:
        """Return what is true at this instant, as a frozen value."""
        with self._lock:
            look = view.Look(
                gates={name: self._state(name) for name in self._gates},
                reserved=self._queue.reservations(self._room),
                queued=self._queue.all(),
                consents=self._consents.waits(),
                standstill=frozenset(self._standstill),
                now=self._clock(),
            )
        return view.snapshot(look)

    # The caller of each method from here to the next such line holds the
    # lock.

    def revoke(self, migration_uuids: Iterable[str]) -> None:
        """Note that requests have lost another host's consent.

        For who gives it: unlike all else here that is public, it is called
        with the lock held.
        """
        for uuid in migration_uuids:
            self._queue.consent(uuid, False)

    def _check(self, request: Request) -> None:
        if self.closed:
            raise exception.AdmissionClosed(
                migration_uuid=request.migration_uuid
            )
        self._check_new(request)

    def _check_new(
        self, request: Request, before: Request | None = None
    ) -> None:
        uuid = request.migration_uuid
        known = self._running.get(uuid) is not before or uuid in self._queue
        if known or request_lib.is_used(request.ticket):
            raise exception.DuplicateRequest(migration_uuid=uuid)
        for gate in request.gates:
            if gate not in self._gates:
                raise exception.UnknownGate(gate=gate)

    def _enqueue(
        self, request: Request, first: bool = False
    ) -> Request | None:
        if request.ticket.cancelled():
            request_lib.wake_waiters(request.ticket)
            return None
        waiting = self._queue.add(request, self._clock(), first=first)
        if request.consent and self._consents.queued(waiting, self._free):
            self._queue.consent(request.migration_uuid)
        return self._admit()

    def _state(self, name: str) -> snapshot_lib.GateState:
        gate = self._gates[name]
        return snapshot_lib.GateState(name, gate.limit, gate.owners)

    def _room(self, gate: str) -> float:
        return self._gates[gate].room()

    def _free(self, gates: tuple[str, ...]) -> float:
        """Tell how many requests could start, if their host consents."""
        if self._standstill:
            return 0
        free = min((self._room(gate) for gate in gates), default=math.inf)
        if free <= 0:
            return 0
        kept = self._queue.reservations(self._room)
        return free - max((len(kept.get(g, ())) for g in gates), default=0)

    def _refresh(self) -> None:
        self._consents.refresh(
            functools.cache(self._free), self._queue.take_impatient()
        )

    def _admit(self) -> Request | None:
        # From start or a ticket's callback: the loop that called them goes
        # on to admit. Each starting the next would overflow the stack.
        if getattr(self._thread, 'launches', False):
            return None
        return self._admit_next()

    def _admit_next(self) -> Request | None:
        """Make an owner of the next that can start.

        Only one: what is admitted has to be started, so a row of them could
        not be stopped any more.
        """
        while not self._standstill:
            request = self._queue.next(self._room)
            if request is None:
                break
            if self._take(request):
                self._refresh()
                return request
        self._refresh()
        return None

    def _take(self, request: Request) -> bool:
        """Make an owner of a request, unless it was cancelled."""
        self._queue.remove(request)
        # The one instant that decides between cancel and admission.
        if not request.ticket.set_running_or_notify_cancel():
            self._consents.left(request)
            return False
        for gate in request.gates:
            self._gates[gate].acquire(request.migration_uuid)
        self._running[request.migration_uuid] = request
        self._consents.started(request)
        return True

    def _release(self, request: Request) -> bool:
        # Not by name: it may have come again, in another request.
        if self._running.get(request.migration_uuid) is not request:
            return False
        del self._running[request.migration_uuid]
        for gate in request.gates:
            self._gates[gate].release(request.migration_uuid)
        self._consents.left(request)
        return True

    # The caller of each method from here on must not hold the lock.

    def _watch(self, request: Request) -> None:
        # After the lock: the callback runs at once if somebody cancelled
        # the ticket meanwhile, and it takes the lock.
        request.ticket.add_done_callback(
            functools.partial(self._forget_cancelled, request)
        )

    def _launch(self, admitted: Request | None) -> None:
        """Start an admitted request, and then all that can start too."""
        if admitted is not None:
            self._launch_all(admitted)
        self._consents.flush()

    def _launch_all(self, first: Request) -> None:
        admitted: Request | None = first
        killed: BaseException | None = None
        self._thread.launches = True
        try:
            while admitted is not None:
                killed = self._launch_one(admitted) or killed
                with self._lock:
                    admitted = self._admit_next()
        finally:
            self._thread.launches = False
        if killed is not None:
            raise killed

    def _launch_one(self, request: Request) -> BaseException | None:
        """Start an admitted request.

        :returns: what would end this thread, once all is in order again.
        """
        try:
            self._start(request)
        except BaseException as error:
            with self._lock:
                failed = self._release(request)
            if failed:
                self._punch(request, error)
            return None if isinstance(error, Exception) else error
        return None

    @staticmethod
    def _punch(request: Request, error: BaseException | None) -> None:
        if error is None:
            request.ticket.set_result(None)
        else:
            request.ticket.set_exception(error)

    def _forget_cancelled(self, request: Request, ticket: object) -> None:
        if not request.ticket.cancelled():
            return
        with self._lock:
            forgotten = self._queue.remove(request)
            if forgotten:
                self._consents.left(request)
            admitted = self._admit()
        if forgotten:
            # Who waits for a set of futures is woken by this alone.
            request.ticket.set_running_or_notify_cancel()
        self._launch(admitted)
