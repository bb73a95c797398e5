# SPDX-License-Identifier: Apache-2.0

"""What comes to a host is counted, after a start, before a slot is given.

Each source is asked what it has. One that is silent is waited for once, and
together with all others that are.
"""

from collections.abc import Callable
from collections.abc import Iterable
import threading
import time


class Counting:
    """Which sources have still to say what they have.

    :param patience: seconds until those that are silent are waited for no
        more. What they began on a slot of the last life is in the records
        by then.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._ends: float | None = None
        self._told: set[str] = set()
        self._missing: set[str] = set()
        self._lock = threading.Lock()

    def missing(self, sources: Iterable[str]) -> list[str]:
        """Return the sources that have to be asked, now or again.

        :param sources: all that there are, by the records.
        :returns: none, if all is counted that can be.
        """
        with self._lock:
            now = self._clock()
            if self._ends is None:
                # Once for all: fifty silent hosts take as long as one.
                self._ends = now + self._patience
            over = now >= self._ends
            self._missing = set() if over else set(sources) - self._told
            return sorted(self._missing)

    def hear(self, source: str) -> bool:
        """Note that a source has said all, or has nothing to say.

        :returns: whether all is counted with that.
        """
        with self._lock:
            self._told.add(source)
            self._missing.discard(source)
            return self._ends is not None and not self._missing
