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

from nova_throttle.cmd.stage import report


class Lines:
    """Plain lines, each with the seconds since the start.

    :param stream: where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._step = ''

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
            self._say(
                f'{server.name}  {server.status:9}  '
                f'{server.source} -> {server.destination or "?"}'
                f'{_details(server)}'
            )

    def summary(self, summary: report.Summary) -> None:
        """Tell how it went."""
        self._stream.write('\n')
        for name, value in summary.lines():
            self._stream.write(f'{name:20} {value}\n')
        self._stream.flush()

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._stream.write(f'{seconds:7.1f}  {text}\n')
        self._stream.flush()


def _details(server: report.Server) -> str:
    if server.waits_for:
        return f'  position {server.position}, {server.waits_for}'
    if server.status in report.FINAL:
        return f'  waited {server.waited:.1f} s, took {server.took:.1f} s'
    return ''
