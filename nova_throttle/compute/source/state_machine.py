# SPDX-License-Identifier: Apache-2.0

"""The one state of a live migration, and whether it is to be aborted.

The state changes along the table of lifecycle.py only. An abort is never lost
between two steps: each step asks, under the lock, whether one came before it.
"""

import abc
from collections.abc import Iterator
import contextlib
import threading

from nova_throttle.admission import request as request_lib
from nova_throttle.compute import border
from nova_throttle import exception
from nova_throttle import lifecycle

State = lifecycle.State

# One for all: it is held for a few instructions, and a lock for each would be
# a tenth of what a queued migration weighs.
_LOCK = threading.Lock()


class StateMachine(abc.ABC):
    """Go from state to state, unless an abort comes before.

    :param state: where it begins.
    """

    instance: border.Instance

    def __init__(self, state: State) -> None:
        self._state = state
        self._aborted = False
        # What it waits with on its way to the driver.
        self._waits_with: request_lib.Ticket | None = None

    @property
    def state(self) -> State:
        """How far it has come."""
        return self._state

    def enter(self, state: State) -> None:
        """Go on to another state, unless it is to be aborted.

        :raises MigrationAborted: if an abort came before.
        :raises IllegalTransition: if there is no way there.
        """
        with self._go(state, asks=True):
            pass

    def become(self, state: State) -> None:
        """Go to another state, whether or not an abort came before.

        :raises IllegalTransition: if there is no way there.
        """
        with self._go(state, asks=False):
            pass

    def wait_with(self, ticket: request_lib.Ticket) -> None:
        """Have an abort from now on cancel a ticket that this waits with.

        :raises MigrationAborted: if an abort came before.
        """
        with _LOCK:
            self._refuse_if_aborted()
            self._waits_with = ticket

    def request_abort(self) -> bool:
        """Ask for an abort of an admitted migration.

        :returns: whether it will be aborted on its way to the driver;
            False if the driver has it, which must be asked then.
        """
        with _LOCK:
            if self._state in (State.TRANSFERRING, State.ARRIVED, State.OVER):
                return False
            self._aborted = True
            ticket = self._waits_with
        if ticket is not None:
            # If that comes too late, the last step before the driver sees it.
            ticket.cancel()
        return True

    @contextlib.contextmanager
    def _go(self, state: State, *, asks: bool) -> Iterator[None]:
        """Go to another state; what is done within is seen with it.

        :param asks: whether an abort that came before prevents it.
        """
        with _LOCK:
            if asks:
                self._refuse_if_aborted()
            before = self._state
            if state is not before:
                lifecycle.check(before, state)
                self._state = state
            yield
        if state is not before:
            self._tell(before)

    def _refuse_if_aborted(self) -> None:
        if self._aborted:
            raise exception.MigrationAborted(instance_uuid=self.instance.uuid)

    @abc.abstractmethod
    def _tell(self, before: State | None) -> None:
        """Tell of a change; the lock is not held."""
