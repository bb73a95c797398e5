# SPDX-License-Identifier: Apache-2.0

"""How many are prepared for a link at a time: no more than it needs.

All at once share the CPUs of two hosts, and the link waits for the first of
them. Two at a time are enough if a transfer takes longer than half of a
preparation; wherever the link runs dry, more are.
"""

from collections.abc import Iterator
import contextlib
import threading

FIRST = 2

# Seconds after which one is prepared all the same: it never depends on
# others, whose destination may be silent.
LONGEST = 10.0


class Ahead:
    """The migrations that one host prepares for its link.

    Any thread may call it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = FIRST
        self._preparing = 0
        self._waiting = 0
        self._flows = False

    @property
    def number(self) -> int:
        """How many are prepared at a time."""
        return self._number

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn to be prepared, and have it meanwhile."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(self._has_room, LONGEST)
            self._waiting -= 1
            self._preparing += 1
        try:
            yield
        finally:
            with self._changed:
                self._preparing -= 1
                self._flows &= bool(self._preparing or self._waiting)
                self._changed.notify()

    def note_prepared(self, waits: bool) -> None:
        """Note that one is prepared.

        :param waits: whether it has to wait for the link. If not, though
            others are not prepared yet, the link was idle.
        """
        with self._changed:
            if self._flows and self._waiting and not waits:
                self._number *= 2
                self._changed.notify_all()
            # The first one always finds it idle.
            self._flows = True

    def _has_room(self) -> bool:
        return self._preparing < self._number
