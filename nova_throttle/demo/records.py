# SPDX-License-Identifier: Apache-2.0

"""Sees every status that is written into a migration record.

It is told before a record enters a status and after it has, so a count of
those in progress is never too low and, where slots are kept, never too high.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections import Counter
import dataclasses
import itertools
import threading
import time
from typing import Any
from typing import NamedTuple

from nova_throttle.admission import snapshot as snapshot_lib

# The gates of a host.
SOURCE = 'source'
DESTINATION = 'destination'
TRANSFER_OUT = 'transfer-out'
TRANSFER_IN = 'transfer-in'

IN_PROGRESS = ('preparing', 'running')
FINAL = ('completed', 'cancelled', 'failed', 'error')
# It waits for the link; its guest has moved, and both hosts clean up.
PREPARED = 'prepared'
FINISHING = 'finishing'
# The conductor has it: nothing that a person need know.
UNTOLD = 'accepted'


class Gate(NamedTuple):
    """One gate of one host."""

    name: str
    host: str


@dataclasses.dataclass(frozen=True)
class Server:
    """One server and its live migration.

    :param status: of the migration record.
    :param at: when the record got each status.
    :param position: in the queue; 0 is not queued.
    :param waits_for: what keeps it from starting.
    :param migration: the UUID of the record.
    :param share: how much of its guest has moved, while it does: from 0 to 1.
    """

    uuid: str
    name: str
    source: str
    destination: str = ''
    status: str = 'asked'
    at: Mapping[str, float] = dataclasses.field(default_factory=dict)
    position: int = 0
    waits_for: tuple[snapshot_lib.Wait, ...] = ()
    migration: str = ''
    share: float | None = None

    @property
    def waited(self) -> float:
        """Seconds in the queue."""
        return self._seconds('queued', 'preparing')

    @property
    def took(self) -> float:
        """Seconds in progress."""
        return self._seconds('preparing')

    def in_phase(self, left: bool) -> 'Server':
        """Return it with its phase, which is finer than the record's status.

        :param left: whether libvirt has moved its guest.
        """
        status = self.status
        if status == 'preparing' and self.waits_for:
            status = PREPARED
        elif status == 'running' and left:
            status = FINISHING
        return dataclasses.replace(self, status=status)

    def _seconds(self, first: str, *last: str) -> float:
        if first not in self.at:
            return 0.0
        ends = [self.at[each] for each in (*last, *FINAL) if each in self.at]
        return min(ends, default=time.monotonic()) - self.at[first]


class InProgress:
    """Who is in progress now.

    :ivar peaks: the most that were at once, at each gate.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[str, tuple[Gate, Gate]] = {}
        self._left: set[str] = set()
        self.peaks: Counter[Gate] = Counter()

    def enter(self, uuid: str, source: str, destination: str) -> None:
        """Count one; twice is like once."""
        gates = Gate(SOURCE, source), Gate(DESTINATION, destination)
        with self._lock:
            self._gates[uuid] = gates
            now = Counter(itertools.chain(*self._gates.values()))
            self.peaks = self.peaks | now

    def leave(self, uuid: str) -> None:
        """Do not count one any more; twice is harmless."""
        with self._lock:
            self._gates.pop(uuid, None)
            self._left.add(uuid)

    def has_left(self, uuid: str) -> bool:
        """Tell whether one was in progress, and is not any more."""
        return uuid in self._left


class Records:
    """The servers of a drain, as their migration records say."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._servers: dict[str, Server] = {}
        self._changes: list[Server] = []
        self.in_progress = InProgress()

    def add(self, server: Server) -> None:
        """Know of a server before it migrates."""
        with self._changed:
            self._servers[server.uuid] = server

    def watching(self, save: Callable[..., None]) -> Callable[..., None]:
        """Wrap the method that saves a migration record."""

        def watched(migration: Any, *args: Any, **kwargs: Any) -> None:
            status, destination = migration.status, migration.dest_compute
            if status in IN_PROGRESS:
                self.in_progress.enter(
                    migration.uuid, migration.source_compute, destination
                )
            save(migration, *args, **kwargs)
            if status not in IN_PROGRESS:
                self.in_progress.leave(migration.uuid)
            self._note(
                migration.instance_uuid,
                status,
                destination=destination or '',
                migration=migration.uuid,
            )

        return watched

    def _note(self, uuid: str, status: str, **facts: str) -> None:
        with self._changed:
            old = self._servers[uuid]
            new: Server = dataclasses.replace(old, **facts)  # type: ignore
            if status not in (UNTOLD, old.status):
                at = {status: time.monotonic(), **old.at}
                new = dataclasses.replace(new, status=status, at=at)
                self._changes.append(new)
                self._changed.notify_all()
            self._servers[uuid] = new

    def wait(self, timeout: float = 0) -> list[Server]:
        """Return what changed since the last call, or wait for a change."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes, timeout)
            changes, self._changes = self._changes, []
            return changes

    @property
    def servers(self) -> tuple[Server, ...]:
        """All of them, in the order in which they were added."""
        with self._changed:
            return tuple(self._servers.values())
