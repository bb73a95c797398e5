# SPDX-License-Identifier: Apache-2.0

"""Carries out what the admission wants done, without its lock.

Starts one request after the other, in the thread that made room. What a
start itself sets free, or submits, is carried out when that start returns:
nothing recurses.
"""

import collections
from collections.abc import Callable
import threading

from nova_throttle.admission import effects as effects_lib

Effects = effects_lib.Effects
Grant = effects_lib.Grant

_Pending = collections.deque[Effects]


class Dispatcher:
    """Carry out effects.

    :param start: called with each grant. It must return soon.
    :param tell: called with each host that has to be told something. It
        must return at once.
    :param admit: returns what may start after a start.
    :param fail: returns what follows from a start that raised.
    """

    def __init__(
        self,
        start: Callable[[Grant], None],
        tell: Callable[[str], None],
        admit: Callable[[], Effects],
        fail: Callable[[Grant, BaseException], Effects],
    ) -> None:
        self._start = start
        self._tell = tell
        self._admit = admit
        self._fail = fail
        self._local = threading.local()

    def carry_out(self, effects: Effects) -> None:
        """Do what is to be done, and what follows from it."""
        if effects is effects_lib.NOTHING:
            return
        pending: _Pending | None = getattr(self._local, 'pending', None)
        if pending is not None:
            # From a start or a ticket's callback: whoever called them goes
            # on with it. Each doing it itself would overflow the stack.
            pending.append(effects)
            return
        self._local.pending = pending = collections.deque([effects])
        killed: BaseException | None = None
        try:
            while pending:
                killed = self._do(pending.popleft(), pending) or killed
        finally:
            self._local.pending = None
        if killed is not None:
            raise killed

    def _do(self, effects: Effects, pending: _Pending) -> BaseException | None:
        killed = None
        if effects.start is not None:
            killed = self._start_one(effects.start)
            # One at a time: what this start set free is asked for below only
            # if it has not been given away already.
            if all(each.start is None for each in pending):
                pending.append(self._admit())
        for ticket, error in effects.ended:
            if error is None:
                ticket.set_result(None)
            else:
                ticket.set_exception(error)
        for host in effects.tell:
            self._tell(host)
        return killed

    def _start_one(self, grant: Grant) -> BaseException | None:
        """Start what was admitted.

        :returns: what would end this thread, once all is in order again.
        """
        try:
            self._start(grant)
        except BaseException as error:
            self.carry_out(self._fail(grant, error))
            return None if isinstance(error, Exception) else error
        return None
