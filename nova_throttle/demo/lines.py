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

"""The demo for a pipe or a file: one line for each change of state.

No control characters, and nothing is ever taken back.
"""

import time
from typing import TextIO

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import report

# Seconds between two lines about the gates.
GATES_TICK = 1.0
# What need not be said before anything goes on.
IDLE = 'none -> none'

Waits = tuple[snapshot_lib.Wait, ...]


class Lines:
    """Plain lines, each with the seconds since the start.

    :param stream: where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._step = ''
        # What was told: of each server why it waits, and of the gates.
        self._reasons: dict[str, list[tuple[str, ...]]] = {}
        self._gates = IDLE
        self._gates_at = self._began

    def __enter__(self) -> 'Lines':
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is to be put back."""

    def tick(self) -> None:
        """Nothing moves here."""

    def step(self, step: report.Step) -> None:
        """Tell of a step, once."""
        if step.text != self._step:
            self._step = step.text
            self._say(step.text)

    def picture(self, picture: report.Picture) -> None:
        """Tell of what changed."""
        for server in picture.changes:
            self._tell_of(server, server.status)
        for server in picture.servers:
            if self._is_new(server):
                self._tell_of(server, 'waits')
        self._tell_of_gates(picture.gates)

    def summary(self, summary: report.Summary) -> None:
        """Tell how it went."""
        self._stream.write('\n')
        for name, value in summary.lines():
            self._stream.write(f'{name:20} {value}\n')
        self._stream.flush()

    def _is_new(self, server: report.Server) -> bool:
        """Tell whether a server waits for something else than was told."""
        reasons = _reasons(server)
        return bool(reasons) and reasons != self._reasons.get(server.name)

    def _tell_of(self, server: report.Server, what: str) -> None:
        if server.waits_for:
            self._reasons[server.name] = _reasons(server)
        self._say(
            f'{server.name}  {what:9}  '
            f'{server.source} -> {server.destination or "?"}'
            f'{_details(server)}'
        )

    def _tell_of_gates(self, gates: tuple[report.Gate, ...]) -> None:
        """Tell what goes in and out where, now and then."""
        now = time.monotonic()
        sides = (report.SOURCE, report.DESTINATION)
        line = ' -> '.join(_busy(gates, side) for side in sides)
        if line != self._gates and now - self._gates_at >= GATES_TICK:
            self._gates, self._gates_at = line, now
            self._say(f'gates  {line}')

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._stream.write(f'{seconds:7.1f}  {text}\n')
        self._stream.flush()


def _busy(gates: tuple[report.Gate, ...], name: str) -> str:
    """Say of all gates of a name that are in use how they are."""
    used = (gate for gate in gates if gate.name == name and not gate.idle)
    return ', '.join(f'{gate.host} {gate}' for gate in used) or 'none'


def _lasting(server: report.Server) -> Waits:
    """Return what a server waits for, but for what passes in a moment."""
    asking = snapshot_lib.WaitReason.ASKING
    return tuple(w for w in server.waits_for if w.reason is not asking)


def _reasons(server: report.Server) -> list[tuple[str, ...]]:
    return [(w.reason.value, w.gate, w.host) for w in _lasting(server)]


def _details(server: report.Server) -> str:
    waits = _lasting(server)
    if waits:
        reasons = '; '.join(map(str, waits))
        return f'  position {server.position}, {reasons}'
    if server.status in report.FINAL:
        return f'  waited {server.waited:.1f} s, took {server.took:.1f} s'
    return ''
