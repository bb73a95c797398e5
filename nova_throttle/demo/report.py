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

"""What the embedded Nova tells of a drain: all that the screen ever knows.

Frozen plain values, which cross from one process to the other. Nothing here
knows Nova or the terminal.
"""

import dataclasses

from nova_throttle.admission import snapshot as snapshot_lib

# The gates of a host.
SOURCE = 'source'
DESTINATION = 'destination'

FINAL = ('completed', 'cancelled', 'failed', 'error')

# What to do when a package is missing.
INSTALL = "run: pip install 'nova-throttle[demo]'"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the demo was asked to do.

    :param servers: how many servers are drained.
    :param sources: how many hosts they leave.
    :param destinations: how many hosts receive them.
    :param limit: ``max_concurrent_live_migrations``; 0 is unlimited.
    :param incoming: ``max_incoming_live_migrations``; 0 is unlimited.
    :param seconds: how long libvirt takes over a migration.
    :param eventlet: use eventlet instead of native threads.
    """

    servers: int
    sources: int
    destinations: int
    limit: int
    incoming: int
    seconds: float
    eventlet: bool = False


@dataclasses.dataclass(frozen=True)
class Step:
    """What the embedded Nova does from now on.

    The same text again is news of the same step.

    :param total: how much there is to do, if that can be counted.
    """

    text: str
    done: int = 0
    total: int = 0


@dataclasses.dataclass(frozen=True)
class Gate:
    """One gate of one host; limit 0 is unlimited.

    :param owners: how many are in progress.
    :param offered: how many slots a source has yet to take.
    :param waiting: how many wait for a slot on other hosts.
    """

    host: str
    name: str
    limit: int
    owners: int
    offered: int = 0
    waiting: int = 0

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return not (self.owners or self.offered or self.waiting)

    def __str__(self) -> str:
        more = ', '.join(
            f'{count} {what}'
            for count, what in (
                (self.offered, 'offered'),
                (self.waiting, 'waiting'),
            )
            if count
        )
        used = f'{self.owners} of {self.limit or "unlimited"}'
        return f'{used} ({more})' if more else used


@dataclasses.dataclass(frozen=True)
class Server:
    """One server and its live migration.

    :param status: of the migration record.
    :param position: in the queue; 0 is not queued.
    :param waits_for: what keeps it from starting.
    :param waited: seconds in the queue.
    :param took: seconds in progress.
    :param progress: part of the migration that is done, from 0 to 1.
    """

    name: str
    source: str
    destination: str = ''
    status: str = 'asked'
    position: int = 0
    waits_for: tuple[snapshot_lib.Wait, ...] = ()
    waited: float = 0.0
    took: float = 0.0
    progress: float = 0.0


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drain at one instant.

    :param servers: all of them, in the order of their names.
    :param changes: those whose status changed since the last picture, once
        for each change.
    """

    gates: tuple[Gate, ...]
    servers: tuple[Server, ...]
    changes: tuple[Server, ...] = ()


@dataclasses.dataclass(frozen=True)
class Peak:
    """The most that was in progress at one gate at once.

    :param limit: what was set; 0 is unlimited.
    :param records: by the migration records.
    :param libvirt: by the migration calls in libvirt.
    """

    host: str
    gate: str
    limit: int
    records: int
    libvirt: int

    @property
    def most(self) -> int:
        """The greater of both counts."""
        return max(self.records, self.libvirt)

    @property
    def held(self) -> bool:
        """Whether no more than the limit were ever in progress."""
        return not self.limit or self.most <= self.limit

    @property
    def name(self) -> str:
        """Say in a few words what was counted."""
        way = 'Into' if self.gate == DESTINATION else 'Out of'
        return f'{way} {self.host}'

    def __str__(self) -> str:
        return (
            f'at most {self.records} at once by the migration records, '
            f'{self.libvirt} in libvirt'
        )


@dataclasses.dataclass(frozen=True)
class Summary:
    """How a drain went.

    :param completed: servers that are ACTIVE on their destination.
    :param peaks: of each gate that had anything to do.
    :param handler_ms: how long each request kept the RPC worker, sorted.
    :param waited: seconds that each was queued, sorted.
    :param elapsed: seconds from the first request to the last completion.
    """

    options: Options
    completed: int
    peaks: tuple[Peak, ...]
    handler_ms: tuple[float, ...]
    waited: tuple[float, ...]
    elapsed: float

    @property
    def broken(self) -> tuple[Peak, ...]:
        """Where more were in progress at once than the limit."""
        return tuple(peak for peak in self.peaks if not peak.held)

    @property
    def succeeded(self) -> bool:
        """Whether the drain went as it must."""
        return not self.broken and self.completed == self.options.servers

    @property
    def problem(self) -> str:
        """Say in one line what is wrong."""
        for peak in self.broken:
            return (
                f'{peak.name}, {peak.most} were in progress at once, '
                f'not at most {peak.limit}'
            )
        missing = self.options.servers - self.completed
        return f'{missing} of {self.options.servers} servers did not arrive'

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return what a person wants to know: names and values."""
        return (
            ('Source limit', self._limit(SOURCE, self.options.limit)),
            (
                'Destination limit',
                self._limit(DESTINATION, self.options.incoming),
            ),
            *((peak.name, str(peak)) for peak in self.peaks),
            ('RPC worker kept for', _spread(self.handler_ms, 'ms')),
            ('Queued for', _spread(self.waited, 's')),
            ('Elapsed', f'{self.elapsed:.1f} s'),
            ('Completed', f'{self.completed} of {self.options.servers}'),
        )

    def _limit(self, gate: str, limit: int) -> str:
        if not limit:
            return 'none'
        held = all(peak.gate != gate for peak in self.broken)
        return f'{limit}, {"held at every instant" if held else "BROKEN"}'


def _spread(values: tuple[float, ...], unit: str) -> str:
    if not values:
        return 'never'
    median = values[len(values) // 2]
    return f'{median:.1f} {unit} (median), {values[-1]:.1f} {unit} at most'


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why the embedded Nova gave up, in one line."""

    text: str


Message = Step | Picture | Summary | Failure
