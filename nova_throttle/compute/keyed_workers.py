# SPDX-License-Identifier: Apache-2.0

"""Who carries messages to other hosts, off every path that must not wait.

A host is written on the list, and a thread delivers to it once. Being on the
list twice is like being on it once: what is delivered is made when it is.
"""

from collections.abc import Callable
import threading

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.agreement import outbox
from nova_throttle.compute import compat

LOG = logging.getLogger(__name__)

# How many messages are sent at a time: each waits for its answer, and is a
# thread. And how many of them to hosts that did not answer the last one.
SENDERS = 32
SILENT = 8


class KeyedWorkers:
    """Deliver to hosts, to several at a time but once at a time to each.

    :param name: what its threads are called.
    :param deliver: called with a host; it returns False if the host did not
        answer. An exception of it is only logged.
    :param threads: how many deliver at a time at most; there are none while
        nothing is on the list.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[str], bool | None],
        threads: int = SENDERS,
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._outbox = outbox.Outbox(threads, SILENT)
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing is delivered or due."""
        with self._lock:
            return self._outbox.idle

    def post(self, host: str) -> None:
        """Have something delivered to a host soon."""
        with self._lock:
            begins = self._outbox.add(host)
        if not begins:
            return
        try:
            compat.spawn_n(
                nova_context.get_admin_context(), self._name, self._run
            )
        except Exception:
            with self._lock:
                self._outbox.give_up()
            # It stays on the list, for the next that is asked for.
            LOG.exception('Cannot deliver to %s now', host)

    def _run(self) -> None:
        while (host := self._next()) is not None:
            answered = True
            try:
                answered = self._deliver(host) is not False
            except Exception:
                LOG.exception('A message to %s failed', host)
            with self._lock:
                self._outbox.done(host, answered)

    def _next(self) -> str | None:
        with self._lock:
            return self._outbox.next()
