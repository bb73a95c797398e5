# SPDX-License-Identifier: Apache-2.0

"""When the slots of a live migration may be given back: once, at its end.

That is when the driver has returned, none of its callbacks runs, and none is
still to come.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading


class Hold:
    """What still keeps the slots of one migration.

    :param on_end: called once, when nothing does any more.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._lock = threading.Lock()
        self._callbacks = 0
        # Whether a callback may still come: only a driver calls back later
        # than it returns, and not if it raised.
        self._awaited = False
        self._returned = False
        self._ended = False

    @property
    def awaits_callback(self) -> bool:
        """Whether the driver has returned but never called back."""
        return self._returned and self._awaited

    def enter_driver(self) -> None:
        """Note that the driver has it, and will call back."""
        self._awaited = True

    @contextlib.contextmanager
    def callback(self) -> Iterator[None]:
        """Keep the slots while a callback of the driver runs."""
        with self._lock:
            self._callbacks += 1
        try:
            yield
        finally:
            with self._lock:
                self._callbacks -= 1
                self._awaited = False
            self._end_if_free()

    def end_work(self, failed: bool) -> None:
        """Note that the work has returned to the manager.

        :param failed: whether it raised: no callback comes after that.
        """
        with self._lock:
            self._returned = True
            self._awaited = self._awaited and not failed
        self._end_if_free()

    def expect_nothing(self) -> None:
        """Note that no callback will come any more."""
        with self._lock:
            self._awaited = False
        self._end_if_free()

    def _end_if_free(self) -> None:
        with self._lock:
            if (
                self._ended
                or not self._returned
                or self._callbacks
                or self._awaited
            ):
                return
            self._ended = True
        self._on_end()
