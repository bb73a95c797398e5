# SPDX-License-Identifier: Apache-2.0

"""What comes over the bus and is no business of ours is one line in the log.

Whoever sent it gets an error that says why. However much of it comes, the
log has a line a minute for each sender.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import textwrap
import threading
import time

from oslo_log import log as logging
import oslo_messaging as messaging

from nova_throttle import exception

LOG = logging.getLogger(__name__)

# Seconds between two lines about the same method and sender.
INTERVAL = 60.0

# Of how many the last line is remembered: a sender may make up names.
REMEMBERED = 100

# The longest text of an error, in characters: it may quote what came.
LONGEST = 200


class Refusals:
    """Says what was refused, and to whom.

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # By method and sender: when the last line was, and what came since.
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    @contextlib.contextmanager
    def of(self, method: str, sender: str) -> Iterator[None]:
        """Make one line of a refusal: it is the caller's mistake, not ours.

        :param method: what was called.
        :param sender: who called it, as far as that can be told.
        :raises ExpectedException: which the library sends to the caller as
            our error, and does not log with a traceback.
        """
        try:
            yield
        except exception.ThrottleError as error:
            self._say(method, sender, error)
            raise messaging.ExpectedException() from error

    def _say(
        self, method: str, sender: str, error: exception.ThrottleError
    ) -> None:
        key, now = (method, sender), self._clock()
        with self._lock:
            last, more = self._said.pop(key, (now - INTERVAL, 0))
            quiet = now - last < INTERVAL
            # The one that spoke last is at the end.
            self._said[key] = (last, more + 1) if quiet else (now, 0)
            if len(self._said) > REMEMBERED:
                del self._said[next(iter(self._said))]
        if not quiet:
            LOG.warning(
                '%(method)s was refused: %(error)s (from %(sender)s%(more)s)',
                {
                    'method': method,
                    'sender': sender,
                    'error': _one_line(error),
                    'more': f', {more} more before' if more else '',
                },
            )


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error), LONGEST, placeholder='...')
