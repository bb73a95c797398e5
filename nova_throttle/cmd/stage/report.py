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

FINAL = ('completed', 'cancelled', 'failed', 'error')

# What to do when a package is missing.
INSTALL = "run: pip install 'nova-throttle[demo]'"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the demo was asked to do.

    :param servers: how many servers are drained.
    :param limit: ``max_concurrent_live_migrations``; 0 is unlimited.
    :param seconds: how long libvirt takes over a migration.
    :param eventlet: use eventlet instead of native threads.
    """

    servers: int
    limit: int
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
    """One gate of one host; limit 0 is unlimited."""

    host: str
    name: str
    limit: int
    owners: int


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
    waits_for: str = ''
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
class Summary:
    """How a drain went.

    :param limit: what was set; 0 is unlimited.
    :param completed: servers that are ACTIVE on their destination.
    :param peak_records: most migration records in progress at once.
    :param peak_libvirt: most migration calls in libvirt at once.
    :param handler_ms: how long each request kept the RPC worker, sorted.
    :param waited: seconds that each was queued, sorted.
    :param elapsed: seconds from the first request to the last completion.
    """

    servers: int
    limit: int
    completed: int
    peak_records: int
    peak_libvirt: int
    handler_ms: tuple[float, ...]
    waited: tuple[float, ...]
    elapsed: float

    @property
    def limit_held(self) -> bool:
        """Whether no more than the limit were ever in progress."""
        return not self.limit or self.peak <= self.limit

    @property
    def peak(self) -> int:
        """The most that were in progress at once, by either count."""
        return max(self.peak_records, self.peak_libvirt)

    @property
    def succeeded(self) -> bool:
        """Whether the drain went as it must."""
        return self.limit_held and self.completed == self.servers

    @property
    def problem(self) -> str:
        """Say in one line what is wrong."""
        if not self.limit_held:
            return f'{self.peak} were in progress at once'
        missing = self.servers - self.completed
        return f'{missing} of {self.servers} servers did not arrive'

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return what a person wants to know: names and values."""
        held = 'held at every instant' if self.limit_held else 'BROKEN'
        limit = f'{self.limit}, {held}' if self.limit else 'none'
        return (
            ('Limit', limit),
            (
                'In progress at once',
                f'at most {self.peak_records} by the migration records, '
                f'{self.peak_libvirt} in libvirt',
            ),
            ('RPC worker kept for', _spread(self.handler_ms, 'ms')),
            ('Queued for', _spread(self.waited, 's')),
            ('Elapsed', f'{self.elapsed:.1f} s'),
            ('Completed', f'{self.completed} of {self.servers}'),
        )


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
