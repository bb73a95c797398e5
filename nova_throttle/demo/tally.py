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

"""Counts what is in progress, for each host that sends or receives.

Not thread-safe: whoever has one holds a lock of its own.
"""

from collections.abc import Mapping
from collections import Counter


class Tally:
    """Who is in progress now, and the most of each host at once."""

    def __init__(self) -> None:
        # Source and destination of each, by its name.
        self._ways: dict[str, tuple[str, str]] = {}
        self._most_sent: Counter[str] = Counter()
        self._most_received: Counter[str] = Counter()

    def enter(self, name: str, source: str, destination: str) -> None:
        """Count one; twice is like once."""
        self._ways[name] = (source, destination)
        sources, destinations = zip(*self._ways.values(), strict=True)
        self._most_sent |= Counter(sources)
        self._most_received |= Counter(destinations)

    def leave(self, name: str) -> None:
        """Do not count one any more; twice is harmless."""
        self._ways.pop(name, None)

    @property
    def sent(self) -> Mapping[str, int]:
        """The most that each host sent at once."""
        return dict(self._most_sent)

    @property
    def received(self) -> Mapping[str, int]:
        """The most that each host received at once."""
        return dict(self._most_received)
