# SPDX-License-Identifier: Apache-2.0

"""The lock of the admission, and what follows from each change after it.

What another thread could see is touched with the lock only, and nobody is
called while it is held.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import time

from nova_throttle.admission import admission
from nova_throttle.admission import dispatcher
from nova_throttle.admission import effects as effects_lib
from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.admission import turns
from nova_throttle import exception

Effects = effects_lib.Effects
Request = request_lib.Request
Standstill = standstill.Standstill
Ticket = request_lib.Ticket


class Controller(turns.Turns):
    """Decide when each request may start, and start it.

        throttle = Controller({'in progress': {'source': 1}}, start=spawn)
        throttle.submit(request)                  # starts now, or waits
        request.ticket.cancel()                   # True: it never starts
        throttle.finish(request.migration_uuid)   # starts the next

    All methods may be called from any thread, and from ``start``: what has
    room then starts when that ``start`` returns.

    :param stages: the limit of each gate by its name, for each stage by its
        name, in the order of the stages; 0 is unlimited.
    :param start: called with a Grant for each stage that a request enters,
        without a lock held, in the thread that made room for it. It must
        return soon. If it raises, the slots of that stage are released and
        its ticket gets the exception.
    :param tell: called with each host that has to be told something about
        gates it keeps, without a lock held. It must return at once.
    :param keepers: who arranges slots of gates kept elsewhere, by the name
        of the gate.
    :param patience: see the queue.
    :param clock: seconds, monotonic.
    :raises InvalidLimit: if a limit is negative.
    """

    def __init__(
        self,
        stages: Mapping[str, Mapping[str, int]],
        start: Callable[[effects_lib.Grant], None],
        *,
        tell: Callable[[str], None] = lambda host: None,
        keepers: Mapping[str, remote.Keeper] | None = None,
        patience: int = queue.PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            admission.Admission(stages, keepers or {}, patience, clock),
            dispatcher.Dispatcher(start, tell, self._admit, self._fail),
        )

    # From the request to its end

    def submit(
        self,
        request: Request,
        reason: snapshot_lib.WaitReason | None = None,
    ) -> None:
        """Accept a request: it starts when all its gates have room.

        One whose ticket was cancelled before is dropped.

        :param reason: defer it for this reason; see defer().
        :raises AdmissionClosed: once stopping has begun.
        :raises DuplicateRequest: if it waits, is in progress or is over.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        with self._lock:
            effects = self._admission.submit(request, reason)
        self._watch(request.migration_uuid, request.ticket)
        self._dispatcher.carry_out(effects)

    def resubmit(
        self,
        request: Request,
        reason: snapshot_lib.WaitReason | None = None,
    ) -> None:
        """Put a request that was accepted before into the queue.

        It may be in progress: then its slots are released first, and it is
        where it stood before it was admitted. One of which that is not
        known gets to the head of its priority. A service that stops keeps
        it in the queue.

        :param request: of a migration that was accepted before, with a
            ticket of its own.
        :param reason: defer it for this reason; see defer().
        :raises DuplicateRequest: if it waits already.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        with self._lock:
            effects = self._admission.resubmit(request, reason)
        self._watch(request.migration_uuid, request.ticket)
        self._dispatcher.carry_out(effects)

    def adopt(self, request: Request, stages: int = 1) -> None:
        """Note a request that is in progress without our having started it.

        Its slots count even beyond the limit, as after a limit was lowered.

        :param stages: how many stages it has entered.
        :raises DuplicateRequest: if it waits or is in progress.
        :raises UnknownGate: if it needs a gate that does not exist.
        """
        self._apply(lambda: self._admission.adopt(request, stages))

    def release(self, migration_uuid: str, stage: str) -> None:
        """Release the slots of one stage; start the next. Idempotent."""
        self._apply(lambda: self._admission.release(migration_uuid, stage))

    def finish(
        self, migration_uuid: str, error: BaseException | None = None
    ) -> bool:
        """Release all slots of a request that is over; start the next.

        :param error: what ended it, for whoever holds its tickets.
        :returns: whether it was in progress: finishing twice is harmless.
        """
        effects = self._apply(
            lambda: self._admission.finish(migration_uuid, error)
        )
        return bool(effects.ended)

    def cancel(self, migration_uuid: str) -> bool:
        """Take a request out of the queue.

        :returns: True if it waited: it never starts, or does not enter the
            stage that it waited for. False otherwise.
        """
        with self._lock:
            member = self._admission.members.get(migration_uuid)
            waits = list(member.waits.values()) if member else []
        return bool(waits) and waits[0].ticket.cancel()

    def defer(
        self, migration_uuid: str, reason: snapshot_lib.WaitReason | None
    ) -> None:
        """Pass a request over until it is told to go on.

        It keeps its position in the order, and whatever overtakes it is
        credited to it.

        :param reason: why, for who looks at the queue; None lets it go on.
        """
        self._apply(lambda: self._admission.defer(migration_uuid, reason))

    def change(
        self,
        migration_uuid: str,
        *,
        priority: int | None = None,
        held: bool | None = None,
    ) -> Request:
        """Change what an operator may change of a request that waits.

        :param priority: it stands where it would if it had come with this.
        :param held: whether it is passed over, as if it were deferred, which
            it may be as well; only while it waits for its first stage.
        :returns: the request as it is now.
        :raises NotQueued: if it does not wait, or has entered a stage.
        """
        with self._lock:
            member = self._admission.members.waiting(migration_uuid)
            if held is not None and member.owned:
                raise exception.NotQueued(migration_uuid=migration_uuid)
            request = member.request
            request = dataclasses.replace(
                request,
                priority=request.priority if priority is None else priority,
                held=request.held if held is None else held,
            )
            effects = self._admission.change(member, request)
        self._dispatcher.carry_out(effects)
        return request

    # Gates, and whether anything starts

    def grant(self, granted: remote.Granted) -> None:
        """Use a slot of a gate kept elsewhere, or have it declined."""
        self._apply(lambda: self._admission.grant(granted))

    def answer(self, *answers: remote.Answer) -> None:
        """Take up what else is said of gates that are kept elsewhere."""
        self._apply(lambda: self._admission.answer(answers))

    def resize(self, gate: str, limit: int) -> None:
        """Change a gate's limit, at once.

        A raised limit starts as many as now fit; a lowered one lets
        present owners finish.

        :param limit: slots; 0 is unlimited.
        :raises UnknownGate: if there is no such gate.
        :raises InvalidLimit: if the limit is negative.
        """
        self._apply(lambda: self._admission.resize(gate, limit))

    def halt(self, reason: Standstill) -> None:
        """Start nothing until this reason is taken; twice is harmless."""
        self._apply(lambda: self._admission.halt(reason))

    def resume(self, reason: Standstill) -> None:
        """Take a reason; what waits starts if there is no other."""
        self._apply(lambda: self._admission.resume(reason))

    def _admit(self) -> Effects:
        with self._lock:
            return self._admission.admit()

    def _fail(self, grant: effects_lib.Grant, error: BaseException) -> Effects:
        with self._lock:
            return self._admission.release(
                grant.request.migration_uuid, grant.stage, grant.ticket, error
            )
