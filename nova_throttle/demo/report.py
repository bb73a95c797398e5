# SPDX-License-Identifier: Apache-2.0

"""What is told of a drain while it lasts, and how it went in the end.

Frozen plain values: nothing here knows Nova or the terminal.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections import Counter
import dataclasses
import statistics

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import options as options_lib
from nova_throttle.demo import records as records_lib


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drain at one instant.

    :param gates: of each host, how full those in use are, by their names.
    :param servers: all of them, in the order of their names.
    :param changes: those whose status changed since the last picture, once
        for each change.
    :param limits_transfers: whether a gate of the network link has a limit.
    """

    gates: Mapping[str, Mapping[str, str]]
    servers: tuple[records_lib.Server, ...]
    changes: tuple[records_lib.Server, ...] = ()
    limits_transfers: bool = False


def in_use(snapshot: snapshot_lib.Snapshot) -> dict[str, str]:
    """Say of each gate of a host that is in use how full it is."""
    found = {}
    for gate in snapshot.gates.values():
        counts = {'offered': len(gate.offered), 'waiting': len(gate.waiting)}
        more = ', '.join(f'{n} {what}' for what, n in counts.items() if n)
        if gate.owners or more:
            limit = gate.limit or 'unlimited'
            text = f'{len(gate.owners)} of {limit}'
            found[gate.name] = f'{text} ({more})' if more else text
    return found


@dataclasses.dataclass(frozen=True)
class Report:
    """How a drain went.

    :param completed: servers that are ACTIVE on their destination.
    :param records: the most that were in progress at once at each gate, by
        the migration records.
    :param libvirt: the same by the migration calls in libvirt.
    :param waited: seconds that each server was queued.
    :param elapsed: seconds from the first request to the last completion.
    """

    options: options_lib.Options
    completed: int
    records: Counter[records_lib.Gate]
    libvirt: Counter[records_lib.Gate]
    waited: tuple[float, ...]
    elapsed: float

    @property
    def problem(self) -> str:
        """Say in one line what is wrong; nothing if it went as it must."""
        for gate, most in self._broken.items():
            return (
                f'{_name(gate)}, {most} were in progress at once, '
                f'not at most {self._limit(gate.name)}'
            )
        for gate, most in self._broken_links.items():
            return (
                f'{_name(gate)}, {most} had the link at once, '
                f'not at most {self.options.transfers}'
            )
        servers = self.options.servers
        if self.completed < servers:
            missing = servers - self.completed
            return f'{missing} of {servers} servers did not arrive'
        return ''

    def __str__(self) -> str:
        """Say in a few lines what a person wants to know."""
        lines = (
            ('Source limit', self._verdict(records_lib.SOURCE)),
            ('Destination limit', self._verdict(records_lib.DESTINATION)),
            (
                'Transfer limit',
                _say(self.options.transfers, self._broken_links),
            ),
            *(
                (
                    _name(gate),
                    f'at most {self.records[gate]} at once by the migration '
                    f'records, {self.libvirt[gate]} in libvirt',
                )
                for gate in sorted(self.records | self.libvirt, key=_name)
            ),
            (
                'Queued for',
                f'{statistics.median(self.waited):.1f} s (median), '
                f'{max(self.waited):.1f} s at most',
            ),
            ('Elapsed', f'{self.elapsed:.1f} s'),
            ('Completed', f'{self.completed} of {self.options.servers}'),
        )
        return ''.join(f'{name:20} {value}\n' for name, value in lines)

    def _limit(self, name: str) -> int:
        if name == records_lib.SOURCE:
            return self.options.limit
        return self.options.incoming

    @property
    def _broken(self) -> Mapping[records_lib.Gate, int]:
        """Where more were in progress at once than the limit."""
        return {
            gate: most
            for gate, most in (self.records | self.libvirt).items()
            if 0 < self._limit(gate.name) < most
        }

    @property
    def _broken_links(self) -> Mapping[records_lib.Gate, int]:
        """Where more had the link at once than the limit."""
        return {
            gate: most
            for gate, most in self.libvirt.items()
            if 0 < self.options.transfers < most
        }

    def _verdict(self, name: str) -> str:
        broken = [gate for gate in self._broken if gate.name == name]
        return _say(self._limit(name), broken)


def _say(limit: int, broken: Collection[records_lib.Gate]) -> str:
    if not limit:
        return 'none'
    return f'{limit}, {"BROKEN" if broken else "held at every instant"}'


def _name(gate: records_lib.Gate) -> str:
    way = 'Out of' if gate.name == records_lib.SOURCE else 'Into'
    return f'{way} {gate.host}'
