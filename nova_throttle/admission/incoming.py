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
alone. Who waits is served by priority and arrival, whatever its source.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import itertools
import threading

from nova_throttle.admission import controller
from nova_throttle.admission import guest as guest_lib
from nova_throttle.admission import peer as peer_lib
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.admission import view
from nova_throttle.admission import wire

GATE = peer_lib.GATE

Standing = wire.Standing
Standstill = standstill.Standstill

# Before the first message of a source: its life and serial.
_NEVER = (0, -1)

# How far down the line it is told at once that it moves.
_REACH = 8

_READY = (Standing.READY, Standing.INSISTS)


class Incoming:
    """The gate of one host for live migrations that come to it.

    It gives no slot before what comes to the host is counted.

    :param host: this host.
    :param incarnation: greater than that of this host's last life.
    :param limit: slots; 0 is unlimited.
    :param post: called with a source that a message is due for, without a
        lock held; it must return at once. What is sent is made by compose()
        when it is sent.
    """

    def __init__(
        self,
        host: str,
        incarnation: int,
        limit: int,
        post: Callable[[str], None],
    ) -> None:
        self._host = host
        self.incarnation = incarnation
        self._post = post
        self._serial = 0
        # The last message of each source: its life and serial.
        self._heard: dict[str, tuple[int, int]] = {}
        self._guests: dict[str, guest_lib.Guest] = {}
        self._gate = controller.Controller(
            {GATE: limit}, self._offer, by_arrival=True
        )
        self._gate.halt(Standstill.COUNTING)
        self._standstill = {Standstill.COUNTING}
        # Sources that a message is due for.
        self._due: set[str] = set()
        # Who waits, with their places, if that is known.
        self._line: dict[str, int] | None = None
        # How many have left the line without a slot.
        self._quitters = 0
        # Reentrant: the gate calls back.
        self._lock = threading.RLock()

    # The gate

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

    def resize(self, limit: int) -> None:
        """Change the number of slots, at once.

        :raises InvalidLimit: if the limit is negative.
        """
        with self._change():
            self._gate.resize(GATE, limit)

    def state(self) -> snapshot_lib.GateState:
        """Return what is true at this instant, as a frozen value."""
        with self._lock:
            return self._state()

    # What sources say

    def hear(self, ask: wire.Ask, reported: bool = False) -> None:
        """Take up what a source says; twice, or late, is harmless.

        If it wants an answer, compose() has to make one for it now.

        :param reported: this host asked for it, so it gets no answer.
        """
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
            for item in ask.items:
                if self._is_news(item.migration_uuid, ask):
                    self._take(item, ask)
            if ask.complete:
                self._forget_all_but(ask)

    def compose(self, source: str) -> wire.Tell:
        """Make the message that a source has to get now."""
        with self._lock:
            self._serial += 1
            state = self._state()
            own = [g for g in self._guests.values() if g.source == source]
            places = self._places()
            life = self._heard.get(source, _NEVER)[0]
            return wire.Tell(
                destination=self._host,
                incarnation=self.incarnation,
                serial=self._serial,
                answers=life,
                # The number of any other means nothing to this life.
                offers=tuple(
                    guest.offer()
                    for guest in own
                    if guest.offered and guest.incarnation == life
                ),
                limit=state.limit,
                owners=state.owners + state.offered,
                places=tuple(
                    (g.item.migration_uuid, places[g.item.migration_uuid])
                    for g in own
                    if g.item.migration_uuid in places
                ),
                standstill=self._why_still(),
            )

    # Facts

    def arrives(self, fact: guest_lib.Fact) -> None:
        """Note that a migration is in progress, whoever allowed it."""
        with self._change():
            guest = self._guests.get(fact.migration_uuid)
            if guest is None or not guest.owns:
                self._adopt(fact)
            elif guest.offered:
                guest.offered = False

    def begins(self, instance_uuid: str) -> bool:
        """Note that a source has this host prepare for an instance.

        :returns: whether its migration has a slot.
        """
        with self._change():
            owners = [
                guest
                for guest in self._guests.values()
                if guest.item.instance_uuid == instance_uuid and guest.owns
            ]
            for guest in owners:
                guest.offered = False
            return bool(owners)

    def free(self, migration_uuid: str) -> bool:
        """Note that a migration is over or will never come.

        :returns: whether it was known: freeing twice is harmless.
        """
        with self._change():
            return self._remove(migration_uuid)

    def source_of(self, migration_uuid: str) -> str:
        """Return the host that a known migration comes from, or ''."""
        guest = self._guests.get(migration_uuid)
        return guest.source if guest else ''

    def landed(self, instance_uuid: str) -> None:
        """Note that an instance arrived, or that its arrival was undone.

        Its source says when its migration is really over, unless it never
        said anything: then nobody will.
        """
        with self._change():
            for uuid, guest in list(self._guests.items()):
                if (
                    guest.item.instance_uuid == instance_uuid
                    and guest.owns
                    and guest.source not in self._heard
                ):
                    self._remove(uuid)

    def guests(self) -> list[str]:
        """Return all migrations that own a slot or wait for one."""
        with self._lock:
            return list(self._guests)

    def reconcile(
        self, facts: Iterable[guest_lib.Fact], down: Collection[str] = ()
    ) -> list[str]:
        """Compare what is known with the records that are not over.

        :param facts: of all migrations to this host that are not over.
        :param down: hosts whose service is known to be dead.
        :returns: sources that should be asked for all they have.
        """
        found = {fact.migration_uuid: fact for fact in facts}
        with self._change():
            for fact in found.values():
                guest = self._guests.get(fact.migration_uuid)
                if fact.active and (guest is None or not guest.owns):
                    self._adopt(fact)
            doubtful = {
                fact.source
                for fact in found.values()
                if fact.migration_uuid not in self._guests
            }
            for uuid, guest in list(self._guests.items()):
                recorded = found.get(uuid)
                active = recorded is not None and recorded.active
                guest.by_fact = guest.by_fact and active
                if guest.source in down and not active:
                    self._remove(uuid)
                elif self._is_doubtful(guest, active):
                    doubtful.add(guest.source)
                guest.looked_at = True
            return sorted(doubtful.difference(down))

    @contextlib.contextmanager
    def _change(self, answered: str = '') -> Iterator[None]:
        """Do something, and tell all who wait if they have to know.

        Slots are handed out when it is done, so that what is to be done is
        one change: an owner is known before a slot is given to the next, and
        the order of the items of a message is not that of the slots.

        :param answered: a source that gets an answer anyhow.
        """
        with self._lock:
            before = self._news()
            self._gate.halt(Standstill.COUNTING)
            try:
                yield
            finally:
                if not self._standstill:
                    self._gate.resume(Standstill.COUNTING)
                self._line = None
            self._due.update(self._interested(before, self._news()))
            due, self._due = self._due - {answered}, set()
        for source in sorted(due):
            self._post(source)

    # The caller of each method from here on holds the lock.

    def _news(self) -> tuple[object, ...]:
        """Return what those who wait have to know; it is cheap."""
        gate = self._gate.gate(GATE)
        offered = [self._guests[uuid].offered for uuid in gate.owners]
        return (
            (self._why_still(), gate.limit),
            (gate.owners, offered, self._quitters),
        )

    def _interested(
        self, before: tuple[object, ...], after: tuple[object, ...]
    ) -> set[str]:
        """Return the sources that have to know of a change now."""
        if before == after:
            return set()
        # The others see it when they ask again: each start would be a
        # message to every source of a fleet.
        reach = _REACH if before[0] == after[0] else None
        line = itertools.islice(self._places(), reach)
        return {self._guests[uuid].source for uuid in line}

    def _state(self) -> snapshot_lib.GateState:
        gate = self._gate.gate(GATE)
        offered = [u for u in gate.owners if self._guests[u].offered]
        return snapshot_lib.GateState(
            GATE,
            gate.limit,
            owners=tuple(u for u in gate.owners if u not in offered),
            offered=tuple(offered),
            waiting=tuple(self._places()),
        )

    def _places(self) -> dict[str, int]:
        """Return the place of each who waits; kept until the next change."""
        if self._line is None:
            line = sorted(
                (g for g in self._guests.values() if not g.owns),
                key=lambda guest: guest.order,
            )
            self._line = {
                guest.item.migration_uuid: place
                for place, guest in enumerate(line, 1)
            }
        return self._line

    def _why_still(self) -> str:
        reason = view.wait_reason(self._standstill)
        return reason.value if reason else ''

    @staticmethod
    def _is_doubtful(guest: guest_lib.Guest, active: bool) -> bool:
        """Tell whether a message about a guest seems to be lost."""
        return guest.looked_at and (
            guest.offered or (guest.owns and not active)
        )

    def _is_news(self, migration_uuid: str, ask: wire.Ask) -> bool:
        guest = self._guests.get(migration_uuid)
        return guest is None or (guest.incarnation, guest.serial) < (
            ask.incarnation,
            ask.serial,
        )

    def _take(self, item: wire.Item, ask: wire.Ask) -> None:
        if item.standing is Standing.GONE:
            self._remove(item.migration_uuid)
            return
        before = self._guests.get(item.migration_uuid)
        if before and before.by_fact and item.standing is not Standing.HOLDS:
            # A late word of the time before it started without an offer.
            return
        if before is None:
            guest = guest_lib.Guest(
                item, ask.source, ask.incarnation, ask.serial
            )
            self._guests[item.migration_uuid] = guest
        else:
            guest = before
            reborn = guest.incarnation != ask.incarnation
            guest.item, guest.source = item, ask.source
            guest.incarnation, guest.serial = ask.incarnation, ask.serial
            guest.looked_at = guest.by_fact = False
            if reborn and guest.offered:
                # Its source has lost the offer.
                self._release(guest)
        self._settle(guest)

    def _settle(self, guest: guest_lib.Guest) -> None:
        """Let a guest be at the gate as it stands with its source."""
        standing = guest.item.standing
        if standing is Standing.HOLDS:
            guest.offered = False
            if not guest.owns:
                self._own(guest)
        elif guest.offered and standing in _READY:
            # It has not had the offer yet.
            self._due.add(guest.source)
        else:
            self._release(guest)
            if standing in _READY:
                self._line_up(guest)

    def _line_up(self, guest: guest_lib.Guest) -> None:
        guest.request = self._request(guest.item, guest.source)
        self._gate.submit(guest.request)

    def _own(self, guest: guest_lib.Guest) -> None:
        self._release(guest)
        guest.request = self._request(guest.item, guest.source)
        self._gate.adopt(guest.request)

    def _adopt(self, fact: guest_lib.Fact) -> None:
        guest = self._guests.get(fact.migration_uuid)
        if guest is None:
            item = wire.Item(
                fact.migration_uuid, fact.instance_uuid, Standing.HOLDS
            )
            # Nothing that was said before this can be about it.
            heard = self._heard.get(fact.source, _NEVER)
            guest = guest_lib.Guest(item, fact.source, *heard)
            self._guests[fact.migration_uuid] = guest
        guest.by_fact = True
        self._own(guest)

    def _release(self, guest: guest_lib.Guest) -> None:
        """Take a guest away from the gate, where it waits or has a slot."""
        guest.offered = False
        if guest.request is not None:
            request, guest.request = guest.request, None
            if not request.ticket.cancel():
                self._gate.finish(request.migration_uuid)

    def _remove(self, migration_uuid: str) -> bool:
        guest = self._guests.pop(migration_uuid, None)
        if guest is not None:
            self._quitters += not guest.owns
            self._release(guest)
        return guest is not None

    def _forget_all_but(self, ask: wire.Ask) -> None:
        named = {item.migration_uuid for item in ask.items}
        for uuid, guest in list(self._guests.items()):
            if (
                guest.source == ask.source
                and uuid not in named
                and not guest.by_fact
                and self._is_news(uuid, ask)
            ):
                self._remove(uuid)

    @staticmethod
    def _request(item: wire.Item, source: str) -> request_lib.Request:
        return request_lib.Request(
            item.migration_uuid,
            item.instance_uuid,
            source,
            (GATE,),
            item.priority,
            item.arrival,
        )

    def _offer(self, request: request_lib.Request) -> None:
        """Offer a slot; called by the gate."""
        guest = self._guests[request.migration_uuid]
        guest.offered = True
        guest.looked_at = False
        self._due.add(guest.source)
