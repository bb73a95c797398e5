# SPDX-License-Identifier: Apache-2.0

"""Who of those that leave one host goes at which speed.

Only the admission gives the link away; here it is said what follows from what
is measured of each transfer. What is slow is so on a lease: whoever slows it
down has to say so again and again, or it goes on at full speed by itself.

Not thread-safe: whoever has one holds a lock around every call.
"""

from collections.abc import Iterator
import dataclasses
import enum
from typing import NamedTuple

from nova_throttle.transfer import adapt
from nova_throttle.transfer import aside
from nova_throttle.transfer import deck
from nova_throttle.transfer import pace
from nova_throttle.transfer import progress as progress_lib

Progress = progress_lib.Progress

# Seconds for which a transfer is slow without another word.
LEASE = pace.LEASE
# And between two such words.
TICK = 5.0


class Place(enum.Enum):
    """Where a transfer is: a closed set."""

    # It has its slots, and full speed.
    TURN = 'has the link'
    # It waits for its slots, and trickles, in its first pass.
    DECK = 'on deck'
    # It waits for its slots, and trickles.
    ASIDE = 'stepped aside'
    # It waits for its slots, but may not be slow.
    LOOSE = 'not slowed down'


SLOW = frozenset({Place.DECK, Place.ASIDE})


class Slow(NamedTuple):
    """A transfer trickles until then; seconds, monotonic."""

    migration_uuid: str
    until: float


class Full(NamedTuple):
    """A transfer goes at full speed from now on."""

    migration_uuid: str


class NoteEnd(NamedTuple):
    """A transfer gives its slots back soon."""

    migration_uuid: str


class LeaveDeck(NamedTuple):
    """A transfer is not on deck any more; it waits on."""

    migration_uuid: str


class StepAside(NamedTuple):
    """A transfer gives its slots to others and waits for its next turn."""

    migration_uuid: str


class Resize(NamedTuple):
    """So many may have the link at a time from now on."""

    limit: int


Effect = Slow | Full | NoteEnd | LeaveDeck | StepAside | Resize


@dataclasses.dataclass(slots=True)
class _Transfer:
    place: Place
    began: float
    progress: Progress = dataclasses.field(default_factory=Progress)
    patience: aside.Patience = dataclasses.field(
        default_factory=aside.Patience
    )
    noted_end: bool = False

    @property
    def is_slow(self) -> bool:
        return self.place in SLOW


class Link:
    """The network link of one host, for what leaves it.

    Each method returns what has to be done, in this order.
    """

    def __init__(self) -> None:
        self.number = adapt.Number()
        self.lead = deck.Lead()
        self._transfers: dict[str, _Transfer] = {}
        # Those that have the link for themselves, as they stall.
        self._alone: set[str] = set()
        self._limit = self.number.value
        self._moved = 0

    @property
    def limit(self) -> int:
        """How many may have the link at a time."""
        return adapt.LEAST if self._alone else self.number.value

    def place(self, migration_uuid: str) -> Place | None:
        """Return where a transfer is, if it has begun."""
        transfer = self._transfers.get(migration_uuid)
        return transfer.place if transfer else None

    def slow(self) -> dict[str, Place]:
        """Return where those are that trickle; any thread may ask."""
        # One step: nobody waits for a lock, or changes it meanwhile.
        transfers = tuple(self._transfers.items())
        return {uuid: each.place for uuid, each in transfers if each.is_slow}

    def begin(self, migration_uuid: str, early: bool, now: float) -> None:
        """Note that a transfer begins.

        :param early: it is on deck, and starts at a trickle.
        """
        place = Place.DECK if early else Place.TURN
        self._transfers[migration_uuid] = _Transfer(place, now)

    def promote(self, migration_uuid: str) -> tuple[Effect, ...]:
        """Note that a transfer that has begun has its slots."""
        transfer = self._transfers.get(migration_uuid)
        if transfer is None or transfer.place is Place.TURN:
            return ()
        transfer.patience.begin_turn(transfer.progress)
        transfer.place = Place.TURN
        return (Full(migration_uuid),)

    def end(self, migration_uuid: str) -> tuple[Effect, ...]:
        """Note that a transfer is over; twice is harmless."""
        self._transfers.pop(migration_uuid, None)
        self._alone.discard(migration_uuid)
        return tuple(self._resized())

    def let_go(self, migration_uuid: str) -> tuple[Effect, ...]:
        """Have a transfer go at full speed, whoever has the link."""
        transfer = self._transfers.get(migration_uuid)
        if transfer is None or not transfer.is_slow:
            return ()
        transfer.place = Place.LOOSE
        return (Full(migration_uuid),)

    def observe(
        self, migration_uuid: str, progress: Progress, now: float
    ) -> tuple[Effect, ...]:
        """Take in how far a transfer is.

        :param now: seconds, monotonic.
        """
        transfer = self._transfers.get(migration_uuid)
        if transfer is None:
            return ()
        before, transfer.progress = transfer.progress, progress
        self._moved += max(0, progress.done - before.done)
        if progress.done and not before.done:
            self.lead.learn(now - transfer.began)
        if transfer.is_slow:
            return tuple(self._of_slow(migration_uuid, transfer))
        if transfer.place is Place.TURN:
            return tuple(self._of_owner(migration_uuid, transfer, now))
        return ()

    def tick(self, now: float, waits: bool, still: bool) -> tuple[Effect, ...]:
        """Renew what is slow, and see whether the link takes another number.

        :param waits: whether anybody waits for the link.
        :param still: nothing may start at this host now: what is slow may
            not go on to wait for that.
        """
        if still:
            slow = [u for u, t in self._transfers.items() if t.is_slow]
            return tuple(e for uuid in slow for e in self.let_go(uuid))
        if not self._alone:
            self.number.observe(self._sample(waits), now)
        return (
            *(
                Slow(uuid, now + LEASE)
                for uuid, transfer in self._transfers.items()
                if transfer.is_slow
            ),
            *self._resized(),
        )

    def _of_slow(
        self, migration_uuid: str, transfer: _Transfer
    ) -> Iterator[Effect]:
        progress = transfer.progress
        if transfer.place is Place.DECK and deck.may_stay(progress):
            return
        if not aside.may_trickle(progress):
            # Its guest is worth more than a share of the link.
            yield from self.let_go(migration_uuid)
        elif transfer.place is Place.DECK:
            transfer.place = Place.ASIDE
            yield LeaveDeck(migration_uuid)

    def _of_owner(
        self, migration_uuid: str, transfer: _Transfer, now: float
    ) -> Iterator[Effect]:
        progress = transfer.progress
        if not transfer.noted_end and deck.ends_soon(
            progress, self.lead.seconds
        ):
            transfer.noted_end = True
            yield NoteEnd(migration_uuid)
        verdict = transfer.patience.judge(progress, self.limit > 1)
        if verdict is aside.Verdict.ALONE:
            self._alone.add(migration_uuid)
            yield from self._resized()
        elif verdict is aside.Verdict.ASIDE:
            transfer.place = Place.ASIDE
            transfer.noted_end = False
            # In this order: never are two at full speed.
            yield Slow(migration_uuid, now + LEASE)
            yield StepAside(migration_uuid)

    def _sample(self, waits: bool) -> adapt.Sample:
        having = [
            transfer.progress
            for transfer in self._transfers.values()
            if transfer.place is Place.TURN and transfer.progress.done
        ]
        return adapt.Sample(
            self._moved,
            len(having),
            waits,
            max((progress.dirty_rate for progress in having), default=0.0),
            sum(progress.dirty_rate for progress in having),
        )

    def _resized(self) -> Iterator[Effect]:
        if self._limit != self.limit:
            self._limit = self.limit
            yield Resize(self.limit)
