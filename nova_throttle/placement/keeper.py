# SPDX-License-Identifier: Apache-2.0

"""What the requests of a host want of the gates that are kept in Placement.

All of these gates together are one to the admission, and asked last. Here it
is only noted who has slots, who asks for them and who gives them back; a
broker carries that out, one thing after the other.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import threading

from nova_throttle.admission import priority
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib

Standing = remote.Standing
Wait = snapshot_lib.Wait

# What they are to the admission.
SHARED = request_lib.RemoteGate('shared', '')

# Whom a keeper has told, once: there is one broker, and it is no host.
BROKER = ''

_ASKING = (Standing.READY, Standing.INSISTS)
_CLAIMING = (Wait(snapshot_lib.WaitReason.CLAIMING),)


@dataclasses.dataclass(slots=True, eq=False)
class Entry:
    """How a request stands to these gates.

    :param claimed: whether it has slots, or may have.
    :param refused: whether it waits until there may be room.
    :param since: when it was refused first, seconds, monotonic.
    """

    request: request_lib.Request
    standing: Standing
    claimed: bool = False
    refused: bool = False
    since: float | None = None
    waits: tuple[Wait, ...] = _CLAIMING

    @property
    def uuid(self) -> str:
        """The migration UUID."""
        return self.request.migration_uuid

    @property
    def asks(self) -> bool:
        """Whether it would use slots at once."""
        return self.standing in _ASKING

    @property
    def rank(self) -> int:
        """Where it stands among those of this host, the smallest first."""
        return priority.rank(self.request.priority, self.request.arrival)


class Keeper(remote.Keeper):
    """Notes what is to be arranged with Placement.

    Its own lock is the last that anybody takes: it calls nobody.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        # Migrations whose slots are to be given back, in order.
        self._frees: dict[str, None] = {}
        self._has_news = False
        self._states: dict[str, snapshot_lib.GateState] = {}

    # The port

    def note(self, want: remote.Want) -> None:
        """Take note of how a request stands to these gates."""
        uuid, standing = want.request.migration_uuid, want.standing
        with self._lock:
            entry = self._entries.get(uuid)
            if entry is None:
                if standing is Standing.GONE:
                    return
                entry = Entry(want.request, Standing.WAITS)
                # It was in progress before this service was.
                entry.claimed = standing is Standing.HOLDS
                self._entries[uuid] = entry
            self._change(entry, want)

    def due(self) -> tuple[str, ...]:
        """Return the broker, once, if there is anything to do."""
        with self._lock:
            has_news, self._has_news = self._has_news, False
        return (BROKER,) if has_news else ()

    def known(self) -> Mapping[request_lib.RemoteGate, remote.Known]:
        """Return what each request waits for."""
        with self._lock:
            waits = {e.uuid: e.waits for e in self._entries.values() if e.asks}
        return {SHARED: remote.Known(waits=waits)}

    # What can be seen

    def states(self) -> dict[str, snapshot_lib.GateState]:
        """Return what was last read of each gate, by name."""
        with self._lock:
            return dict(self._states)

    def publish(self, states: Iterable[snapshot_lib.GateState]) -> None:
        """Note what was read of the gates."""
        with self._lock:
            self._states = {state.name: state for state in states}

    # For the broker

    def frees(self) -> list[str]:
        """Return migrations whose slots are to be given back."""
        with self._lock:
            return list(self._frees)

    def freed(self, migration_uuid: str) -> None:
        """Note that a migration has no slot any more."""
        with self._lock:
            self._frees.pop(migration_uuid, None)

    def free(self, migration_uuid: str) -> bool:
        """Have slots given back that nobody uses.

        :returns: False if the migration uses them.
        """
        with self._lock:
            entry = self._entries.get(migration_uuid)
            if entry is not None and entry.claimed:
                return False
            self._frees[migration_uuid] = None
            return True

    def asks(self) -> list[Entry]:
        """Return requests that would use slots now, in their order."""
        return self._find(refused=False)

    def refused(self) -> list[Entry]:
        """Return requests that wait for room, in their order."""
        return self._find(refused=True)

    def claimed(self) -> dict[str, Entry]:
        """Return those that have slots, or may have, by migration UUID."""
        with self._lock:
            return {u: e for u, e in self._entries.items() if e.claimed}

    def begin(self, entry: Entry) -> bool:
        """Note that slots are about to be taken.

        :returns: whether they are still wanted.
        """
        with self._lock:
            if not self._is_wanted(entry):
                return False
            # What is given back now would be what it is about to get.
            self._frees.pop(entry.uuid, None)
            return True

    def grant(self, entry: Entry, claimed: bool = True) -> bool:
        """Note that a request has all slots that it needs.

        :param claimed: whether it has any.
        :returns: whether it still wants them; if not, they are given back.
        """
        with self._lock:
            if not self._is_wanted(entry):
                if claimed:
                    self._frees[entry.uuid] = None
                return False
            entry.claimed = claimed
            return True

    def refuse(
        self, entry: Entry, waits: tuple[Wait, ...], now: float
    ) -> None:
        """Note that a request has to wait for room."""
        with self._lock:
            entry.refused = True
            entry.waits = waits
            if entry.since is None:
                entry.since = now

    def reopen(self, entry: Entry) -> None:
        """Note that there may be room for a request."""
        with self._lock:
            entry.refused = False
            entry.waits = _CLAIMING

    # The caller holds the lock

    def _change(self, entry: Entry, want: remote.Want) -> None:
        asked, entry.standing = entry.asks, want.standing
        entry.request = want.request
        keeps = entry.standing in (Standing.KEEPS, Standing.HOLDS)
        if entry.claimed and not keeps:
            entry.claimed = False
            self._frees[entry.uuid] = None
            self._has_news = True
        if entry.standing is Standing.GONE:
            del self._entries[entry.uuid]
        elif entry.standing is Standing.HOLDS:
            entry.since = None
        elif entry.asks and not asked:
            entry.refused, entry.waits = False, _CLAIMING
            self._has_news = True

    def _is_wanted(self, entry: Entry) -> bool:
        return entry.asks and self._entries.get(entry.uuid) is entry

    def _find(self, refused: bool) -> list[Entry]:
        with self._lock:
            found = [
                entry
                for entry in self._entries.values()
                if entry.asks and entry.refused is refused
            ]
        return sorted(found, key=lambda entry: entry.rank)
