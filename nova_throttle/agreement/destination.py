# SPDX-License-Identifier: Apache-2.0

"""The destination's half of the agreement between two hosts.

A slot is given to one request, by an offer that its source takes or declines
at once, and comes back by what its source says or by facts: never by time
alone.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping

from nova_throttle.agreement import claim as claim_lib
from nova_throttle.agreement import gates as gates_lib
from nova_throttle.agreement import ledger as ledger_lib
from nova_throttle.agreement import messages
from nova_throttle import exception

Fact = claim_lib.Fact

# Of transfers at a time, whatever a source says.
MOST_TRANSFERS = 8

# Before the first message of a source: its life and serial.
_NEVER = (0, -1)


class Destination(gates_lib.Gates):
    """What one host, as a destination, and its sources tell each other.

    :param host: this host.
    :param incarnation: greater than that of this host's last life.
    :param gates: see the base.
    :param post: see the base. What is sent is made by compose() when it is
        sent.
    """

    def __init__(
        self,
        host: str,
        incarnation: int,
        gates: Mapping[str, int],
        post: Callable[[str], None],
    ) -> None:
        super().__init__(gates, post)
        self._host = host
        self.incarnation = incarnation
        self._serial = 0
        # The last message of each source: its life and serial.
        self._heard: dict[str, tuple[int, int]] = {}
        # How many transfers at a time their links take, and whether this
        # host takes as many.
        self._transfers: dict[str, int] = {}
        self._follows = False

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
                # A late word of its last life.
                return
            self._heard[ask.source] = max(heard, now)
            self._transfers[ask.source] = ask.transfers
            self._take_up(ask)
            self._follow()

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
                offers=_offers(own.values(), life),
                gates=tuple(
                    _gate(self._ledgers[name], claims)
                    for name, claims in own.items()
                ),
                standstill=self._why_still(),
            )

    def follow_sources(self, follows: bool) -> None:
        """Take as many transfers as the sources have found to be right.

        It is the greatest number of those that have something for this host,
        and 1 while there is none: each raises its own only while that pays.

        :param follows: False has the limit be what it is set to.
        """
        with self._change():
            self._follows = follows
            self._follow()

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
            # Queued, by the record, and never asked for: a lost message.
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

    # The caller of each method from here on holds the lock.

    def _take_up(self, ask: messages.Ask) -> None:
        named: dict[str, set[str]] = {name: set() for name in self.gates}
        for item in ask.items:
            named[item.gate].add(item.migration_uuid)
            claim = self._ledgers[item.gate].hear(item, ask)
            if claim is not None:
                self._due.add(claim.source)
        if ask.complete:
            for name, ledger in self._ledgers.items():
                ledger.forget_all_but(named[name], ask)

    def _follow(self) -> None:
        if not self._follows:
            return
        ledger = self._ledgers[messages.TRANSFER_IN]
        sources = {claim.source for claim in ledger.claims()}
        found = [self._transfers.get(source, 0) for source in sources]
        ledger.resize(min(max([1, *found]), MOST_TRANSFERS))

    def _adopt(self, fact: Fact) -> None:
        """Make what is in progress an owner, wherever nobody says it.

        A source that speaks says by itself when it takes a slot of any other
        gate than that which it is in progress at, and when it gives it back.
        """
        heard = self._heard.get(fact.source)
        for name in fact.gates:
            if heard is None or name == messages.DESTINATION:
                self._ledgers[name].adopt(fact, heard or _NEVER)


def _offers(
    claims: Iterable[list[claim_lib.Claim]], life: int
) -> tuple[messages.Offer, ...]:
    # The number of any other means nothing to this life of its source.
    return tuple(
        claim.offer()
        for some in claims
        for claim in some
        if claim.offered and claim.incarnation == life
    )


def _gate(
    ledger: ledger_lib.Ledger, claims: list[claim_lib.Claim]
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
