# SPDX-License-Identifier: Apache-2.0

"""A fault that lasts is told when it begins and when it is over.

The same line every few seconds would hide all others: in between it is told
again after minutes only.
"""

from collections.abc import Callable
import time
from typing import Any

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

# Seconds until a fault that lasts is told again.
REMINDER = 600.0


class Trouble:
    """The faults of one thing that is tried again and again.

    One thread at a time may tell of it.

    :param name: what fails, as the begin of a sentence.
    :param log: of whom it is.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        log: Any = LOG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._log = log
        self._clock = clock
        self._began: float | None = None
        self._told = 0.0

    def note(self, error: BaseException) -> None:
        """Note that it has failed, now or still."""
        now = self._clock()
        if self._began is None:
            self._began = self._told = now
            self._log.warning(
                '%s failed and is tried again until it works: %s',
                *(self._name, error),
                exc_info=error,
            )
            return
        words = self._name, now - self._began, error
        if now - self._told >= REMINDER:
            self._told = now
            self._log.warning('%s has failed for %.0f s by now: %s', *words)
        else:
            self._log.debug('%s has failed for %.0f s: %s', *words)

    def over(self) -> None:
        """Note that it has not failed."""
        if self._began is not None:
            seconds = self._clock() - self._began
            self._began = None
            self._log.info('%s works again, after %.0f s', self._name, seconds)
