# SPDX-License-Identifier: Apache-2.0

"""Work that is due by key, off every path that must not wait.

A key names another host, or a migration. It is written on the list, and a
thread does its work once. Being on the list twice is like being on it once:
what is to be done is found out when it is.
"""

from collections.abc import Callable
import threading

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.agreement import outbox
from nova_throttle.compute import compat

LOG = logging.getLogger(__name__)

# How many work at a time: each may wait for an answer, and is a thread. And
# how many of them for keys that had no answer the last time.
SENDERS = 32
SILENT = 8


class KeyedWorkers:
    """Do the work of several keys at a time, but once at a time for each.

    :param name: what its threads are called.
    :param work: called with a key; it returns False if there was no answer.
        An exception of it is only logged.
    :param threads: how many work at a time at most; there are none while
        nothing is on the list.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[str], bool | None],
        threads: int = SENDERS,
    ) -> None:
        self._name = name
        self._work = work
        self._outbox = outbox.Outbox(threads, SILENT)
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing is done or due."""
        with self._lock:
            return self._outbox.idle

    def post(self, key: str) -> None:
        """Have the work of a key done soon."""
        with self._lock:
            begins = self._outbox.add(key)
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
            LOG.exception('Cannot start the work for %s now', key)

    def _run(self) -> None:
        while (key := self._next()) is not None:
            answered = True
            try:
                answered = self._work(key) is not False
            except Exception:
                LOG.exception('The work for %s failed', key)
            with self._lock:
                self._outbox.done(key, answered)

    def _next(self) -> str | None:
        with self._lock:
            return self._outbox.next()
