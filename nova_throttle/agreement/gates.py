# SPDX-License-Identifier: Apache-2.0

"""The gates of one host for what comes to it: one lock, and who is told.

Whatever is done to them is one change: slots are given when it is done, and
who has to know of it is told without the lock.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import itertools
import threading

from nova_throttle.admission import readout
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.admission import waits
from nova_throttle.agreement import ledger as ledger_lib
from nova_throttle.agreement import messages

Standstill = standstill.Standstill

# Down to which position a request is told at once that it moves.
_REACH = 8


class Gates:
    """The gates of one host for live migrations that come to it.

    It gives no slot before what comes to the host is counted.

    :param gates: the limit of each gate by its name; 0 is unlimited.
    :param post: called with a source that a message is due for, without a
        lock held; it must return at once.
    """

    def __init__(
        self, gates: Mapping[str, int], post: Callable[[str], None]
    ) -> None:
        self._post = post
        self._standstill = {Standstill.COUNTING}
        self._ledgers = {n: ledger_lib.Ledger(n, s) for n, s in gates.items()}
        # In their order: what lists them does so too.
        self.gates = tuple(gates)
        # Sources that a message is due for.
        self._due: set[str] = set()
        self._lock = threading.Lock()

    @property
    def counts(self) -> bool:
        """Whether what comes to the host is still to be counted."""
        return Standstill.COUNTING in self._standstill

    def halt(self, reason: Standstill) -> None:
        """Give no slot until this reason is taken."""
        with self._change():
            self._standstill.add(reason)
            if reason is Standstill.STOPPING:
                # What is prepared is better undone while it can be.
                self._due.update(self._sources())

    def resume(self, reason: Standstill) -> None:
        """Take a reason; slots are given if there is no other."""
        with self._change():
            self._standstill.discard(reason)

    def resize(self, gate: str, limit: int) -> None:
        """Change the number of slots of a gate, at once.

        :raises InvalidLimit: if the limit is negative.
        """
        with self._change():
            was_limited = bool(self._ledgers[gate].state().limit)
            self._ledgers[gate].resize(limit)
            if gate == messages.TRANSFER_IN and messages.DECK_IN in self.gates:
                # A link that nobody counts the transfers of has no deck.
                self._ledgers[messages.DECK_IN].resize(min(limit, 1))
            if was_limited != bool(limit):
                # From now on they have to ask for it, or need not any more.
                self._due.update(self._sources())

    def is_interrupted(self) -> bool:
        """Tell whether a caller may have interrupted the lock's holder."""
        return not readout.is_free(self._lock)

    def state(self, gate: str) -> snapshot_lib.GateState:
        """Return what is true of a gate at this instant, as a value."""
        with self._lock:
            return self._ledgers[gate].state()

    @contextlib.contextmanager
    def _change(self, answered: str = '') -> Iterator[None]:
        """Do something, and tell all that wait if they have to know.

        Slots are given when it is done, so that what is to be done is one
        change: an owner is known before a slot is given to the next, and the
        order of the items of a message is not that of the slots.

        :param answered: a source that gets an answer anyhow.
        """
        with self._lock:
            before = self._news()
            try:
                yield
            finally:
                for ledger in self._each_ledger():
                    self._give(ledger)
            for name, after in self._news().items():
                self._due.update(self._interested(name, before[name], after))
            due, self._due = self._due - {answered}, set()
        for source in sorted(due):
            self._post(source)

    # The caller of each method from here on holds the lock.

    def _each_ledger(self) -> Collection[ledger_lib.Ledger]:
        return self._ledgers.values()

    def _sources(self) -> set[str]:
        """Return the sources that have anything at any gate."""
        return {
            claim.source
            for ledger in self._each_ledger()
            for claim in ledger.claims()
        }

    def _give(self, ledger: ledger_lib.Ledger) -> None:
        still = bool(self._standstill)
        if ledger is self._ledgers.get(messages.DECK_IN):
            link = self._ledgers[messages.TRANSFER_IN]
            still = still or not link.will_have_room()
        for claim in ledger.give(still):
            self._due.add(claim.source)

    def _news(self) -> dict[str, tuple[object, ...]]:
        """Return what those that wait have to know, by gate."""
        why = self._why_still()
        return {
            name: (why, *ledger.news())
            for name, ledger in self._ledgers.items()
        }

    def _interested(
        self, name: str, before: tuple[object, ...], after: tuple[object, ...]
    ) -> set[str]:
        """Return the sources that have to know of a change now."""
        if before == after:
            return set()
        # The others see it when they ask again: each start would be a
        # message to every source of a fleet.
        reach = _REACH if before[:2] == after[:2] else None
        ledger = self._ledgers[name]
        first = itertools.islice(ledger.positions(), reach)
        claims = map(ledger.get, first)
        return {claim.source for claim in claims if claim is not None}

    def _why_still(self) -> str:
        reason = waits.wait_reason(self._standstill)
        return reason.value if reason else ''
