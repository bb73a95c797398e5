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

"""What a source knows of one destination, and has told it.

Not thread-safe: whoever has one holds the controller's lock.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import heapq
from typing import TYPE_CHECKING

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import wire

if TYPE_CHECKING:
    from nova_throttle.admission import queue

Standing = wire.Standing

GATE = 'destination'

_WAITING = frozenset({Standing.WAITS, Standing.READY, Standing.INSISTS})
_ASKING = frozenset({Standing.READY, Standing.INSISTS})


@dataclasses.dataclass(slots=True)
class _Entry:
    """One request: how it stands, and what was last said about it."""

    request: request_lib.Request
    standing: Standing
    waiting: 'queue.Waiting | None' = None
    # The serial of the last message about it.
    number: int = -1


class Peer:
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
        self.entries: dict[str, _Entry] = {}
        # Those that are not ready, in their order.
        self.idle: list[queue.Waiting] = []
        self._news: dict[str, _Entry] = {}
        self._asking: dict[str, _Entry] = {}
        self._waiting = 0
        self._said: wire.Tell | None = None

    @property
    def waiting(self) -> bool:
        """Whether anything waits for a slot there."""
        return self._waiting > 0

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell it."""
        return bool(self._news) or (self.complete and bool(self.entries))

    # What happens to the requests

    def add(self, waiting: 'queue.Waiting', free: float) -> None:
        """Add a request that waits.

        :param free: how many could start at this host.
        """
        entry = _Entry(waiting.request, Standing.WAITS, waiting)
        self._put(entry)
        first = all(
            each.waiting is None or waiting < each.waiting
            for each in self._asking.values()
        )
        if free > len(self._asking) or (first and free > 0):
            self._stand(entry, Standing.READY)
        else:
            heapq.heappush(self.idle, waiting)

    def hold(self, request: request_lib.Request) -> None:
        """Note that a request is in progress."""
        entry = self.entries.get(request.migration_uuid)
        if entry is None:
            self._put(_Entry(request, Standing.HOLDS))
        else:
            self._stand(entry, Standing.HOLDS)
            # The destination finds out when it is asked to prepare.
            self._news.pop(request.migration_uuid, None)

    def drop(self, migration_uuid: str) -> None:
        """Note that a request is over or will never start."""
        entry = self.entries.pop(migration_uuid, None)
        if entry is None:
            return
        unheard_of = entry.number < 0 and entry.standing in _WAITING
        self._stand(entry, Standing.GONE)
        if unheard_of:
            del self._news[migration_uuid]

    def wait(self, migration_uuid: str) -> None:
        """Note that a request is not ready after all."""
        entry = self.entries.get(migration_uuid)
        if entry is None:
            # The destination knows what this host has forgotten.
            self._news[migration_uuid] = _Entry(
                request_lib.Request(migration_uuid, '', self.host, ()),
                Standing.GONE,
            )
        elif entry.standing in _ASKING and entry.waiting is not None:
            self._stand(entry, Standing.WAITS)
            heapq.heappush(self.idle, entry.waiting)

    def insist(self, migration_uuid: str) -> None:
        """Note that a slot has to be kept for a request."""
        entry = self.entries.get(migration_uuid)
        asks = (Standing.WAITS, Standing.READY)
        if entry is not None and entry.standing in asks:
            self._stand(entry, Standing.INSISTS)

    def retreat(self) -> list[str]:
        """Note that nothing starts at this host any more.

        :returns: what a slot may be kept for there, in vain from now on.
        """
        asking = list(self._asking)
        for uuid in asking:
            self.wait(uuid)
        return asking

    def ready_up(self, free: Callable[[tuple[str, ...]], float]) -> bool:
        """Let as many be ready as could start.

        :returns: whether there are more than before.
        """
        before = len(self._asking)
        while self.idle:
            request = self.idle[0].request
            entry = self.entries.get(request.migration_uuid)
            stale = entry is None or entry.waiting is not self.idle[0]
            if stale or entry and entry.standing is not Standing.WAITS:
                heapq.heappop(self.idle)
            elif entry and free(request.gates) > len(self._asking):
                heapq.heappop(self.idle)
                self._stand(entry, Standing.READY)
            else:
                break
        return len(self._asking) > before

    def release(self) -> list[str]:
        """Return those that wait: the destination keeps no gate."""
        return [
            uuid
            for uuid, entry in self.entries.items()
            if entry.standing in _WAITING
        ]

    def _put(self, entry: _Entry) -> None:
        uuid = entry.request.migration_uuid
        self.entries[uuid] = entry
        self._enter(entry)

    def _stand(self, entry: _Entry, standing: Standing) -> None:
        self._leave(entry)
        entry.standing = standing
        self._enter(entry)

    def _leave(self, entry: _Entry) -> None:
        self._waiting -= entry.standing in _WAITING
        self._asking.pop(entry.request.migration_uuid, None)

    def _enter(self, entry: _Entry) -> None:
        uuid = entry.request.migration_uuid
        self._waiting += entry.standing in _WAITING
        if entry.standing in _ASKING:
            self._asking[uuid] = entry
        self._news[uuid] = entry

    # What is told, and what is heard

    def forget_news(self) -> None:
        """Tell nothing now: the destination keeps no gate."""
        self._news.clear()
        self.complete = True

    def take_news(self, serial: int) -> tuple[wire.Item, ...]:
        """Return what the next message says.

        :param serial: of that message.
        """
        entries = dict(self._news)
        if self.complete:
            entries.update(self.entries)
        self._news.clear()
        self.complete = False
        for entry in entries.values():
            entry.number = serial
        return tuple(map(_item, entries.values()))

    def meet(self, incarnation: int) -> None:
        """Note which life of the destination speaks."""
        if incarnation > self.incarnation:
            if self.incarnation:
                # It has forgotten what it was told.
                self.complete = True
            self.incarnation = incarnation
            self._said = None

    def read(self, tell: wire.Tell) -> None:
        """Note what the destination says of its gate."""
        self.silent = False
        if self._said is None or tell.serial > self._said.serial:
            self._said = tell

    def is_valid(self, offer: wire.Offer) -> bool:
        """Tell whether an offer has to be taken or declined.

        It has not if it is void, because something newer was said about
        its request, or answered before.
        """
        entry = self.entries.get(offer.migration_uuid)
        if entry is None:
            return offer.migration_uuid not in self._news
        return entry.standing in _ASKING and entry.number == offer.number

    def waits(self) -> Iterator[tuple[str, snapshot_lib.Wait]]:
        """Say what each request that waits waits for."""
        places = dict(self._said.places) if self._said else {}
        for uuid, entry in self.entries.items():
            if entry.standing in _WAITING:
                wait = self._wait(entry, places.get(uuid, 0))
                if wait is not None:
                    yield uuid, wait

    def _wait(self, entry: _Entry, place: int) -> snapshot_lib.Wait | None:
        said = self._said
        reasons = snapshot_lib.WaitReason
        if said is None or self.silent or not place:
            # Without a place, it does not know of this one yet.
            reason = reasons.SILENT if self.silent else reasons.ASKING
            return snapshot_lib.Wait(reason, GATE, host=self.host)
        if said.standstill:
            reason = reasons(said.standstill)
        elif 0 < said.limit <= len(said.owners):
            reason = reasons.GATE_FULL
        elif entry.standing is Standing.WAITS:
            # There is room for it: only its own host keeps it.
            return None
        else:
            reason = reasons.ASKING
        return snapshot_lib.Wait(
            reason, GATE, said.limit, said.owners, self.host, place
        )


def _item(entry: _Entry) -> wire.Item:
    request = entry.request
    return wire.Item(
        request.migration_uuid,
        request.instance_uuid,
        entry.standing,
        request.priority,
        request.arrival,
    )
