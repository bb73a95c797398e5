# SPDX-License-Identifier: Apache-2.0

"""What a destination knows of the slots of one of its gates.

Each slot has a named owner. What waits is served by rank, whatever its
source; one that came without a slot is an owner beyond the limit, and none is
given before the owners are below it.

Not thread-safe: the destination holds its lock around every call.
"""

from collections.abc import Collection
from collections.abc import Iterator
import itertools

from nova_throttle.admission import limiter
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.agreement import claim as claim_lib
from nova_throttle.agreement import line
from nova_throttle.agreement import messages

Claim = claim_lib.Claim
Fact = claim_lib.Fact
Standing = messages.Standing


class Ledger:
    """The claims on the slots of one gate.

    :param name: the gate's name.
    :param limit: slots; 0 is unlimited.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._gate = limiter.Limiter(name, limit)
        # Whether a fact shows an owner, and not only one that may be.
        self._is_seen = name == messages.DESTINATION
        self._claims: dict[str, Claim] = {}
        self._line = line.Line()
        # Which wait, with their positions, if that is known.
        self._positions: dict[str, int] | None = None
        # How many have left without a slot.
        self._left = 0

    def get(self, migration_uuid: str) -> Claim | None:
        """Return what is known of a migration."""
        return self._claims.get(migration_uuid)

    def claims(self) -> list[Claim]:
        """Return all owners, and all that wait."""
        return list(self._claims.values())

    def resize(self, limit: int) -> None:
        """Change the number of slots.

        :raises InvalidLimit: if the limit is negative.
        """
        self._gate.resize(limit)

    def state(self) -> snapshot_lib.GateState:
        """Return what is true at this instant, as a frozen value."""
        owners = self._gate.owners
        taken = [not self._claims[uuid].offered for uuid in owners]
        return snapshot_lib.GateState(
            self._gate.name,
            self._gate.limit,
            owners=tuple(itertools.compress(owners, taken)),
            offered=tuple(u for u in owners if self._claims[u].offered),
            waiting=tuple(self.positions()),
        )

    def will_have_room(self) -> bool:
        """Tell whether a slot is free, or soon is again."""
        ending = sum(
            self._claims[uuid].item.standing is Standing.ENDS
            for uuid in self._gate.owners
        )
        return self._gate.room() + ending > 0

    def news(self) -> tuple[object, ...]:
        """Return what those that wait have to know; it is cheap."""
        # Positions follow from these; to compare them all would not be cheap.
        owners = self._gate.owners
        offered = [self._claims[uuid].offered for uuid in owners]
        return self._gate.limit, (owners, offered, self._left)

    def positions(self) -> dict[str, int]:
        """Return the position of each that waits; kept until a change."""
        if self._positions is None:
            waiting = sorted(
                (claim for claim in self._claims.values() if not claim.owns),
                key=lambda claim: claim.order,
            )
            self._positions = {
                claim.uuid: position
                for position, claim in enumerate(waiting, 1)
            }
        return self._positions

    def give(self, still: bool) -> Iterator[Claim]:
        """After a change, give each free slot to the next that is ready.

        :param still: none is to be given.
        """
        self._positions = None
        while not still and self._gate.room() > 0:
            claim = self._line.pop()
            if claim is None:
                return
            self._gate.acquire(claim.uuid)
            claim.owns = claim.offered = True
            claim.doubted = False
            yield claim

    # What sources say

    def hear(self, item: messages.Item, ask: messages.Ask) -> Claim | None:
        """Take up how a request stands.

        :returns: what has to be offered again.
        """
        claim = self._claims.get(item.migration_uuid)
        if claim is not None and not claim.is_older(ask):
            return None
        if item.standing is Standing.GONE:
            self.remove(item.migration_uuid)
            return None
        if claim is None:
            claim = Claim(item, ask.source, ask.incarnation, ask.serial)
            self._claims[item.migration_uuid] = claim
        elif claim.by_fact and item.standing not in messages.IN_PROGRESS:
            # A late word of the time before it started without an offer.
            return None
        else:
            self._renew(claim, item, ask)
        return claim if self._settle(claim) else None

    def forget_all_but(
        self, named: Collection[str], ask: messages.Ask
    ) -> None:
        """Forget what its source has not named."""
        for claim in self.claims():
            if (
                claim.source == ask.source
                and claim.uuid not in named
                and not (claim.by_fact and self._is_seen)
                and claim.is_older(ask)
            ):
                self.remove(claim.uuid)

    def _renew(
        self, claim: Claim, item: messages.Item, ask: messages.Ask
    ) -> None:
        if claim.offered and claim.incarnation != ask.incarnation:
            # Its source has lost the offer.
            self._release(claim)
        claim.item, claim.source = item, ask.source
        claim.incarnation, claim.serial = ask.incarnation, ask.serial
        claim.doubted = claim.by_fact = False

    def _settle(self, claim: Claim) -> bool:
        """Let a claim be as it stands with its source.

        :returns: whether it has not had its offer yet.
        """
        standing = claim.item.standing
        if standing in messages.IN_PROGRESS or standing is Standing.KEEPS:
            self._own(claim)
        elif claim.offered and standing in messages.ASKING:
            return True
        else:
            self._release(claim)
            if standing in messages.ASKING:
                self._line.add(claim)
        return False

    # Facts

    def adopt(self, fact: Fact, heard: tuple[int, int]) -> None:
        """Note that a migration is in progress, whoever allowed it.

        :param heard: life and serial of the last message of its source:
            nothing that was said before this can be about it.
        """
        claim = self._claims.get(fact.migration_uuid)
        if claim is None:
            item = messages.Item(
                fact.migration_uuid,
                fact.instance_uuid,
                self._gate.name,
                Standing.HOLDS,
            )
            claim = Claim(item, fact.source, *heard)
            self._claims[fact.migration_uuid] = claim
        if not claim.owns:
            claim.by_fact = True
            self._own(claim)

    def take(self, migration_uuid: str) -> None:
        """Note that an offer was taken, if there was one."""
        claim = self._claims.get(migration_uuid)
        if claim is not None:
            claim.offered = False

    def remove(self, migration_uuid: str) -> bool:
        """Forget a migration that is over, or will never come.

        :returns: whether it was known.
        """
        claim = self._claims.pop(migration_uuid, None)
        if claim is not None:
            self._left += not claim.owns
            self._release(claim)
        return claim is not None

    def reconcile(
        self, facts: dict[str, Fact], down: Collection[str]
    ) -> Iterator[str]:
        """Compare the claims with the records that are not over.

        :returns: sources about which a message seems to be lost.
        """
        for claim in self.claims():
            fact = facts.get(claim.uuid)
            active = fact is not None and self._gate.name in fact.gates
            claim.by_fact = claim.by_fact and active
            if claim.source in down and not active:
                self.remove(claim.uuid)
            # Found like this twice: no message that is on its way explains it.
            elif claim.doubted and (
                claim.offered or (claim.owns and not active)
            ):
                yield claim.source
            claim.doubted = True

    def _own(self, claim: Claim) -> None:
        claim.offered = False
        claim.turn = 0
        if not claim.owns:
            claim.owns = True
            self._gate.adopt(claim.uuid)

    def _release(self, claim: Claim) -> None:
        claim.owns = claim.offered = False
        claim.turn = 0
        self._gate.release(claim.uuid)
