# SPDX-License-Identifier: Apache-2.0

"""Which host gets its message next.

A host is due once, however often it is added, and gets one message at a
time. Hosts that did not answer share a few senders: they never keep one that
answers waiting.

Not thread-safe: whoever has one holds a lock around every call.
"""


class Outbox:
    """Hosts that a message is due for, and those that get one now.

    :param senders: how many messages are sent at a time at most.
    :param silent: how many of these at most to hosts that did not answer.
    """

    def __init__(self, senders: int, silent: int) -> None:
        self._senders = senders
        self._most_silent = silent
        self._due: dict[str, None] = {}
        self._busy: set[str] = set()
        # Hosts whose last message did not get an answer.
        self._silent: set[str] = set()
        self._running = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is sent or due."""
        return not (self._due or self._running)

    def add(self, host: str) -> bool:
        """Note that a message is due for a host.

        :returns: whether a sender has to begin: it calls next().
        """
        # A dictionary is a set that keeps its order.
        self._due[host] = None
        if self._running >= self._senders or self._find() is None:
            return False
        self._running += 1
        return True

    def next(self) -> str | None:
        """Return the host that a sender has to send to; None: it ends."""
        host = self._find()
        if host is None:
            self._running -= 1
        else:
            del self._due[host]
            self._busy.add(host)
        return host

    def done(self, host: str, answered: bool) -> None:
        """Note that a host has got its message.

        :param answered: False if it did not answer.
        """
        self._busy.discard(host)
        if answered:
            self._silent.discard(host)
        else:
            self._silent.add(host)

    def give_up(self) -> None:
        """Note that a sender could not begin; what is due stays due."""
        self._running -= 1

    def _find(self) -> str | None:
        crowded = len(self._busy & self._silent) >= self._most_silent
        for host in self._due:
            # Two messages to one host could overtake each other.
            if host in self._busy or (crowded and host in self._silent):
                continue
            return host
        return None
