# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The destination's half of the agreement between two hosts.

A slot is given to one request, by an offer that its source takes or declines
at once, and comes back by what its source says or by facts: never by time
alone.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import itertools
import threading

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.admission import waits
from nova_throttle.agreement import ledger as ledger_lib
from nova_throttle.agreement import messages
from nova_throttle import exception

Fact = ledger_lib.Fact
Standstill = standstill.Standstill

# Before the first message of a source: its life and serial.
_NEVER = (0, -1)

# Down to which position a request is told at once that it moves.
_REACH = 8


class Destination:
    """The gates of one host for live migrations that come to it.

    It gives no slot before what comes to the host is counted.

    :param host: this host.
    :param incarnation: greater than that of this host's last life.
    :param gates: the limit of each gate by its name; 0 is unlimited.
    :param post: called with a source that a message is due for, without a
        lock held; it must return at once. What is sent is made by compose()
        when it is sent.
    """

    def __init__(
        self,
        host: str,
        incarnation: int,
        gates: Mapping[str, int],
        post: Callable[[str], None],
    ) -> None:
        self._host = host
        self.incarnation = incarnation
        self._post = post
        self._serial = 0
        self._standstill = {Standstill.COUNTING}
        # The last message of each source: its life and serial.
        self._heard: dict[str, tuple[int, int]] = {}
        self._ledgers = {n: ledger_lib.Ledger(n, s) for n, s in gates.items()}
        self.gates = frozenset(gates)
        # Sources that a message is due for.
        self._due: set[str] = set()
        self._lock = threading.Lock()

    # The gates

    @property
    def counts(self) -> bool:
        """Whether what comes to the host is still to be counted."""
        return Standstill.COUNTING in self._standstill

    def halt(self, reason: Standstill) -> None:
        """Give no slot until this reason is taken."""
        with self._change():
            self._standstill.add(reason)

    def resume(self, reason: Standstill) -> None:
        """Take a reason; slots are given if there is no other."""
        with self._change():
            self._standstill.discard(reason)

    def resize(self, gate: str, limit: int) -> None:
        """Change the number of slots of a gate, at once.

        :raises InvalidLimit: if the limit is negative.
        """
        with self._change():
            self._ledgers[gate].resize(limit)

    def state(self, gate: str) -> snapshot_lib.GateState:
        """Return what is true of a gate at this instant, as a value."""
        with self._lock:
            return self._ledgers[gate].state()

    # What sources say

    def hear(self, ask: messages.Ask, reported: bool = False) -> None:
        """Take up what a source says; twice, or late, is harmless.

        If it wants an answer, compose() has to make one for it now.

        :param reported: this host asked for it, so it gets no answer.
        :raises UnknownGate: if it is about a gate that is not kept here.
        """
        for item in ask.items:
            if item.gate not in self.gates:
                raise exception.UnknownGate(gate=item.gate)
        answered = ask.wants_answer and not reported
        with self._change(ask.source if answered else ''):
            if ask.knows > self.incarnation:
                # The clock of this host was set back between its two lives:
                # the source would not listen to this one.
                self.incarnation = ask.knows + 1
            now = (ask.incarnation, ask.serial)
            heard = self._heard.get(ask.source, _NEVER)
            if now[0] < heard[0]:
                return
            self._heard[ask.source] = max(heard, now)
            self._take_up(ask)

    def compose(self, source: str) -> messages.Tell:
        """Make the message that a source has to get now."""
        with self._lock:
            self._serial += 1
            life, serial = self._heard.get(source, _NEVER)
            own = {
                name: [c for c in ledger.claims() if c.source == source]
                for name, ledger in self._ledgers.items()
            }
            return messages.Tell(
                destination=self._host,
                incarnation=self.incarnation,
                serial=self._serial,
                answers=life,
                heard=serial,
                # The number of any other means nothing to this life.
                offers=tuple(
                    claim.offer()
                    for claims in own.values()
                    for claim in claims
                    if claim.offered and claim.incarnation == life
                ),
                gates=tuple(
                    _gate(self._ledgers[name], claims)
                    for name, claims in own.items()
                ),
                standstill=self._why_still(),
            )

    # Facts

    def arrives(self, fact: Fact) -> None:
        """Note that a migration is in progress, whoever allowed it."""
        with self._change():
            self._adopt(fact)
            for name in fact.gates:
                self._ledgers[name].take(fact.migration_uuid)

    def begins(self, instance_uuid: str) -> bool:
        """Note that a source has this host prepare for an instance.

        :returns: whether its migration has a slot.
        """
        with self._change():
            owners = [
                claim
                for claim in self._ledgers[messages.DESTINATION].claims()
                if claim.item.instance_uuid == instance_uuid and claim.owns
            ]
            for claim in owners:
                claim.offered = False
            return bool(owners)

    def free(self, migration_uuid: str) -> bool:
        """Note that a migration is over or will never come.

        :returns: whether it was known: freeing twice is harmless.
        """
        with self._change():
            known = [
                ledger.remove(migration_uuid) for ledger in self._each_ledger()
            ]
            return any(known)

    def landed(self, instance_uuid: str) -> None:
        """Note that an instance arrived, or that its arrival was undone.

        Its source says when its migration is really over, unless it never
        said anything: then nobody will.
        """
        with self._change():
            for ledger in self._each_ledger():
                for claim in ledger.claims():
                    if (
                        claim.item.instance_uuid == instance_uuid
                        and claim.owns
                        and claim.source not in self._heard
                    ):
                        ledger.remove(claim.uuid)

    def migrations(self) -> dict[str, str]:
        """Return the source of each migration that owns a slot or waits."""
        with self._lock:
            return {
                claim.uuid: claim.source
                for ledger in self._each_ledger()
                for claim in ledger.claims()
            }

    def reconcile(
        self, facts: Iterable[Fact], down: Collection[str] = ()
    ) -> list[str]:
        """Compare what is known with the records that are not over.

        :param facts: of all migrations to this host that are not over.
        :param down: hosts whose service is known to be dead.
        :returns: sources that should be asked for all they have.
        """
        found = {fact.migration_uuid: fact for fact in facts}
        with self._change():
            for fact in found.values():
                self._adopt(fact)
            doubtful = {
                fact.source
                for fact in found.values()
                if not any(
                    ledger.get(fact.migration_uuid)
                    for ledger in self._each_ledger()
                )
            }
            for ledger in self._each_ledger():
                doubtful.update(ledger.reconcile(found, down))
            return sorted(doubtful.difference(down))

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

    def _take_up(self, ask: messages.Ask) -> None:
        named: dict[str, set[str]] = {name: set() for name in self.gates}
        for item in ask.items:
            named[item.gate].add(item.migration_uuid)
            claim = self._ledgers[item.gate].hear(item, ask)
            if claim is not None:
                self._offered(claim)
        if ask.complete:
            for name, ledger in self._ledgers.items():
                ledger.forget_all_but(named[name], ask)

    def _adopt(self, fact: Fact) -> None:
        heard = self._heard.get(fact.source, _NEVER)
        for name in fact.gates:
            self._ledgers[name].adopt(fact, heard)

    def _give(self, ledger: ledger_lib.Ledger) -> None:
        ledger.forget_positions()
        if not self._standstill:
            for claim in ledger.give():
                self._offered(claim)

    def _offered(self, claim: ledger_lib.Claim) -> None:
        """Note that a source has to get an offer."""
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


def _gate(
    ledger: ledger_lib.Ledger, claims: list[ledger_lib.Claim]
) -> messages.Gate:
    state, positions = ledger.state(), ledger.positions()
    return messages.Gate(
        state.name,
        state.limit,
        state.owners + state.offered,
        tuple(
            (claim.uuid, positions[claim.uuid])
            for claim in claims
            if claim.uuid in positions
        ),
    )
