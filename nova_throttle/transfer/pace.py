# SPDX-License-Identifier: Apache-2.0

"""How fast one transfer may be: full speed, or slow on somebody's word.

The word is good for a short time only, and has to be repeated. So whatever is
slow is at full speed soon after whoever decided it is gone.
"""

from collections.abc import Callable
import threading
import time

# Seconds for which one transfer is slow unless that is said again.
LEASE = 15.0

# Has a transfer be slow, or at full speed; returns whether it is by now.
CarryOut = Callable[[bool], bool]


class Pace:
    """The speed of one transfer, between who decides and who carries out.

    Who decides, from any thread and without a lock of its own held::

        pace.slow()     # before it begins, or later; again to stay slow
        pace.full()     # at once

    Who carries out calls begin(), settle() each half second, and end().

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Until when it is slow.
        self._until = 0.0
        self._may_be_slow = True
        self._carry_out: CarryOut | None = None
        # Whether it is slow by the last that was carried out; None if that
        # failed, or may have been too early.
        self._applied: bool | None = False
        self._on_wire = False
        # Whether it was changed before, which may have had no effect.
        self._was_early = False
        self._busy = False

    def __repr__(self) -> str:
        return f'<Pace {"slow" if self.is_slow else "full"}>'

    @property
    def is_slow(self) -> bool:
        """Whether it is to be slow at this instant."""
        return self._may_be_slow and self._clock() < self._until

    # Who decides

    def slow(self) -> bool:
        """Have it slow for LEASE seconds from now on.

        :returns: False if it never may be: it is at full speed.
        """
        self._until = self._clock() + LEASE
        self._apply()
        return self._may_be_slow

    def full(self) -> None:
        """Have it at full speed, at once."""
        self._until = 0.0
        self._apply()

    def insist(self) -> None:
        """Have it at full speed, at once and to its end."""
        self._may_be_slow = False
        self._apply()

    # Who carries out

    def begin(self, carry_out: CarryOut) -> bool:
        """Note that the transfer is about to begin.

        :param carry_out: changes its speed from now on. It is called in the
            thread that changes it, never in two at a time; it must not
            raise.
        :returns: whether it begins slow.
        """
        with self._lock:
            self._carry_out = carry_out
            self._on_wire = self._was_early = False
            self._applied = self.is_slow
            return self._applied

    def settle(self, on_wire: bool) -> None:
        """Carry out what is left to be: a word that is out of date is void.

        :param on_wire: whether anything was sent. What changes the speed
            before may be too early, and is done again then.
        """
        with self._lock:
            if on_wire and not self._on_wire:
                self._on_wire = True
                if self._was_early:
                    self._applied = None
        self._apply()

    def end(self) -> None:
        """Note that it is over: its speed is nobody's business any more."""
        self._carry_out = None

    def _apply(self) -> None:
        while (order := self._next_order()) is not None:
            carry_out, slow = order
            done = carry_out(slow)
            with self._lock:
                self._busy = False
                if not self._on_wire:
                    self._was_early = True
                    return
                self._applied = slow if done else None
            if not done:
                # The next settle() tries again.
                return

    def _next_order(self) -> tuple[CarryOut, bool] | None:
        with self._lock:
            slow = self.is_slow
            early = not self._on_wire
            if (
                self._carry_out is None
                or self._busy
                or slow is self._applied
                # A speed that is set while nothing runs stays for others.
                or (early and slow)
            ):
                return None
            self._busy = True
            return self._carry_out, slow
