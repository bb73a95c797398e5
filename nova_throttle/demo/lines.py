# SPDX-License-Identifier: Apache-2.0

"""The demo for a pipe or a file: one line for each change of state.

What passes in a moment is not told.
"""

import time
from typing import TextIO

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import records
from nova_throttle.demo import report as report_lib
from nova_throttle.screen import lines

# Seconds between two lines about the gates.
GATES_TICK = 1.0


class Lines(lines.Lines[report_lib.Picture]):
    """One line for each change.

    :param stream: where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        # What was told: of each server why it waits, and of the gates.
        self._wait_events: dict[str, list[tuple[str, ...]]] = {}
        self._gates = 'none -> none'
        self._gates_at = self._began

    def picture(self, picture: report_lib.Picture) -> None:
        """Tell of what changed."""
        for server in picture.changes:
            self._tell_of(server, server.status)
        for server in picture.servers:
            if _reasons(server) not in (
                [],
                self._wait_events.get(server.name),
            ):
                self._tell_of(server, 'waits')
        self._tell_of_gates(picture)

    def _tell_of(self, server: records.Server, what: str) -> None:
        self._wait_events[server.name] = _reasons(server)
        self.say(
            f'{server.name}  {what:9}  '
            f'{server.source} -> {server.destination or "?"}'
            f'{_details(server)}'
        )

    def _tell_of_gates(self, picture: report_lib.Picture) -> None:
        """Tell what goes in and out where, now and then."""
        now = time.monotonic()
        line = ' -> '.join(
            ', '.join(
                f'{host} {gates[name]}'
                for host, gates in picture.gates.items()
                if name in gates
            )
            or 'none'
            for name in (records.SOURCE, records.DESTINATION)
        )
        if line != self._gates and now - self._gates_at >= GATES_TICK:
            self._gates, self._gates_at = line, now
            self.say(f'gates  {line}')


def _lasting(server: records.Server) -> list[snapshot_lib.Wait]:
    """Return what a server waits for, but for what passes in a moment."""
    asking = snapshot_lib.WaitReason.ASKING
    return [wait for wait in server.waits_for if wait.reason is not asking]


def _reasons(server: records.Server) -> list[tuple[str, ...]]:
    return [(w.reason.value, w.gate, w.host) for w in _lasting(server)]


def _details(server: records.Server) -> str:
    waits = _lasting(server)
    if waits:
        reasons = '; '.join(map(str, waits))
        return f'  position {server.position}, {reasons}'
    if server.status in records.FINAL:
        return f'  waited {server.waited:.1f} s, took {server.took:.1f} s'
    return ''
