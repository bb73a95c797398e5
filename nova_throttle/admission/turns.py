# SPDX-License-Identifier: Apache-2.0

"""From stage to stage: how a request in progress goes on, and gives way.

Only who owns the slots of a stage is in progress there; one on deck waits for
them, and has begun all the same.
"""

from collections.abc import Callable
from concurrent import futures
import functools

from nova_throttle.admission import admission as admission_lib
from nova_throttle.admission import dispatcher as dispatcher_lib
from nova_throttle.admission import effects as effects_lib
from nova_throttle.admission import readout
from nova_throttle.admission import request as request_lib

Effects = effects_lib.Effects
Ticket = request_lib.Ticket


class Turns(readout.Readout):
    """What a request does after its first stage.

    :param admission: what decides.
    :param dispatcher: what carries that out.
    """

    def __init__(
        self,
        admission: admission_lib.Admission,
        dispatcher: dispatcher_lib.Dispatcher,
    ) -> None:
        super().__init__(admission)
        self._dispatcher = dispatcher

    def advance(
        self, migration_uuid: str, ticket: Ticket, early: bool = False
    ) -> None:
        """Have a request in progress wait for its next stage, or enter it.

        It keeps the slots of the stages before. One that gave the slots of
        its last stage back may enter that again.

        :param ticket: as that of a request, for this stage.
        :param early: whether it may be on deck first: ``start`` is called
            with that stage then, and later with this one.
        :raises NotInProgress: if it owns no slot, or waits already.
        :raises NoFurtherStage: if it is in its last one.
        """
        with self._lock:
            effects = self._admission.advance(migration_uuid, ticket, early)
        self._watch(migration_uuid, ticket)
        self._dispatcher.carry_out(effects)

    def step_aside(self, migration_uuid: str) -> None:
        """Have a request give its last stage to others, and wait again.

        It is behind all of its priority that were accepted before now. If
        none of them waits it has its slots back at once.

        :raises NotInProgress: if it has no slot of that stage.
        """
        ticket: Ticket = futures.Future()
        self._apply(lambda: self._admission.step_aside(migration_uuid, ticket))

    def note_end(self, migration_uuid: str) -> None:
        """Note that a request gives its last stage back soon. Idempotent.

        The next may be on deck until then.
        """
        self._apply(lambda: self._admission.note_end(migration_uuid))

    def leave(self, migration_uuid: str) -> None:
        """Have a request neither own nor wait for the last stage, or the deck.

        Idempotent: it starts the next.
        """
        self._apply(lambda: self._admission.leave(migration_uuid))

    def withdraw(self, migration_uuid: str, ticket: Ticket) -> None:
        """Have what waits with a cancelled ticket be out of the queue.

        It leaves by itself as well, in the thread that cancelled it.
        """
        if ticket.cancelled():
            self._apply(lambda: self._admission.forget(migration_uuid, ticket))

    def _apply(self, decide: Callable[[], Effects]) -> Effects:
        """Decide with the lock, and do what follows from it without."""
        with self._lock:
            effects = decide()
        self._dispatcher.carry_out(effects)
        return effects

    def _watch(self, migration_uuid: str, ticket: Ticket) -> None:
        # After the lock: the callback runs at once if somebody cancelled
        # the ticket meanwhile, and it takes the lock.
        ticket.add_done_callback(
            functools.partial(self.withdraw, migration_uuid)
        )
