# SPDX-License-Identifier: Apache-2.0

"""What a source has told one destination, and has heard of it.

Not thread-safe: the controller holds its lock around every call.
"""

from collections.abc import Iterator
import dataclasses

from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.agreement import messages

Standing = messages.Standing

# A gate's name and a migration UUID.
_Key = tuple[str, str]


@dataclasses.dataclass(slots=True)
class _Entry:
    """How a request stands to a gate, and what was last said about it."""

    request: request_lib.Request
    gate: request_lib.RemoteGate
    standing: Standing
    # The serial of the last message about it.
    number: int = -1

    def granted(self) -> remote.Granted:
        return remote.Granted(self.request.migration_uuid, self.gate)

    def refused(self) -> remote.Refused:
        return remote.Refused(self.request.migration_uuid, self.gate)


class Told:
    """The requests of this host for one destination.

    :param host: the destination.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        # The life of the destination that was heard of last; 0 is none.
        self.incarnation = 0
        self.heard_at = float('-inf')
        # Until when it is known to keep no gate.
        self.open_until: float | None = None
        self.silent = False
        # Whether the next message has to say all.
        self.complete = True
        self.known: dict[request_lib.RemoteGate, remote.Known] = {}
        # Names of gates that it does not limit: nobody asks there. Set in
        # step with what the admission is answered.
        self.unlimited: frozenset[str] = frozenset()
        self._entries: dict[_Key, _Entry] = {}
        self._news: dict[_Key, _Entry] = {}
        self._waiting = 0
        # The serial of its last message about its gates.
        self._serial = -1

    @property
    def waiting(self) -> bool:
        """Whether anything waits for a slot there."""
        return self._waiting > 0

    @property
    def has_entries(self) -> bool:
        """Whether anything is known of requests for it."""
        return bool(self._entries)

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell it."""
        return bool(self._news) or (self.complete and bool(self._entries))

    # What is told

    def is_new(self, want: remote.Want) -> bool:
        """Tell whether a request waits that is not known yet."""
        key = want.gate.name, want.request.migration_uuid
        return want.standing in messages.WAITING and key not in self._entries

    def note(self, want: remote.Want) -> None:
        """Take note of how a request stands to a gate."""
        request, gate, standing = want
        key = gate.name, request.migration_uuid
        entry = self._entries.get(key)
        if entry is None:
            if standing is not Standing.GONE:
                self._begin(key, _Entry(request, gate, standing))
            return
        before, entry.standing = entry.standing, standing
        # Its priority may be another by now.
        entry.request = request
        self._count(before, standing)
        if standing is Standing.GONE:
            del self._entries[key]
        if self._is_news(entry, before, key in self._news):
            self._news[key] = entry
        else:
            self._news.pop(key, None)

    def _begin(self, key: _Key, entry: _Entry) -> None:
        self._entries[key] = entry
        if self._is_told(entry):
            self._news[key] = entry
        self._count(Standing.GONE, entry.standing)
        if entry.standing is Standing.HOLDS:
            # It may be new to a destination that was restarted as well.
            self.complete = True

    def _is_told(self, entry: _Entry) -> bool:
        """Tell whether the destination has to know of it, or does already."""
        return entry.number >= 0 or entry.gate.name not in self.unlimited

    def _is_news(self, entry: _Entry, before: Standing, unsaid: bool) -> bool:
        """Tell whether a change is to be told.

        :param unsaid: whether one before it is not told yet.
        """
        if not self._is_told(entry):
            return False
        if entry.standing is Standing.GONE:
            # If not, it has never heard of it.
            return entry.number >= 0 or before not in messages.WAITING
        if entry.standing is Standing.KEEPS:
            # If so, it insists by now, and it is said that the slot is kept.
            return unsaid
        # That one is in progress a destination finds out by itself.
        is_seen = entry.gate.name == messages.DESTINATION
        return entry.standing is not Standing.HOLDS or not is_seen

    def _count(self, before: Standing, after: Standing) -> None:
        self._waiting += after in messages.WAITING
        self._waiting -= before in messages.WAITING

    def forget_news(self) -> None:
        """Tell nothing now: the destination keeps no gate."""
        self._news.clear()
        self.complete = True

    def take_news(self, serial: int) -> tuple[messages.Item, ...]:
        """Return what the next message says.

        :param serial: of that message.
        """
        entries = dict(self._news)
        if self.complete:
            entries.update(self._entries)
        self._news.clear()
        self.complete = False
        told = [entry for entry in entries.values() if self._is_told(entry)]
        for entry in told:
            entry.number = serial
        return tuple(map(_item, told))

    # What is heard

    def meet(self, incarnation: int) -> bool:
        """Note which life of the destination speaks.

        :returns: whether it is another than that which spoke before, or did
            not keep a gate.
        """
        is_new = self.open_until is not None or incarnation != self.incarnation
        self.open_until = None
        if incarnation > self.incarnation:
            # If there was one, it has forgotten what it was told.
            self.complete = self.complete or self.incarnation > 0
            self.incarnation = incarnation
            self.known = {}
            self._serial = -1
        return is_new

    def read(self, tell: messages.Tell) -> None:
        """Note what the destination says of its gates."""
        self.silent = False
        if tell.serial <= self._serial:
            return
        self._serial = tell.serial
        self.known = {
            request_lib.RemoteGate(gate.name, self.host): remote.Known(
                gate.limit,
                gate.owners,
                dict(gate.positions),
                tell.standstill,
            )
            for gate in tell.gates
        }
        # That of what is in progress is asked anyhow: its answer tells of
        # all gates.
        self.unlimited = frozenset(
            gate.name
            for gate in tell.gates
            if not gate.limit and gate.name != messages.DESTINATION
        )
        for key, entry in list(self._news.items()):
            if not self._is_told(entry):
                del self._news[key]

    def disown(self, offers: tuple[messages.Offer, ...]) -> None:
        """Decline offers for what this host has forgotten."""
        for offer in offers:
            key = offer.gate, offer.migration_uuid
            if key not in self._entries and key not in self._news:
                gate = request_lib.RemoteGate(offer.gate, self.host)
                request = request_lib.Request(
                    offer.migration_uuid, '', self.host, ()
                )
                self._news[key] = _Entry(request, gate, Standing.GONE)

    def accept(self, offer: messages.Offer) -> remote.Granted | None:
        """Return what an offer grants.

        :returns: None if it is void: something newer was said about its
            request, or it was answered before.
        """
        entry = self._entries.get((offer.gate, offer.migration_uuid))
        if (
            entry is None
            or entry.standing not in messages.ASKING
            or entry.number != offer.number
        ):
            return None
        return entry.granted()

    def refusals(self, tell: messages.Tell) -> Iterator[remote.Refused]:
        """Return what was asked for and is not offered.

        Only for requests that need several slots: the others have nothing
        to give back.
        """
        offered = {(o.gate, o.migration_uuid) for o in tell.offers}
        for key, entry in self._asked_for_several():
            if 0 <= entry.number <= tell.heard and key not in offered:
                yield entry.refused()

    def unanswered(self) -> Iterator[remote.Refused]:
        """Return what was asked for in vain: nothing was heard."""
        for _, entry in self._asked_for_several():
            yield entry.refused()

    def _asked_for_several(self) -> Iterator[tuple[_Key, _Entry]]:
        for key, entry in self._entries.items():
            if entry.standing is Standing.READY and any(
                sum(not gate.is_last for gate in needs.remote) > 1
                for needs in entry.request.needs
            ):
                yield key, entry


def _item(entry: _Entry) -> messages.Item:
    request = entry.request
    return messages.Item(
        request.migration_uuid,
        request.instance_uuid,
        entry.gate.name,
        entry.standing,
        request.priority,
        request.arrival,
    )
