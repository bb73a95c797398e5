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

"""Commands about the queue.

What is shown is the order at one instant, the next request first.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from nova_throttle.cmd import base
from nova_throttle.objects import snapshot as snapshot_obj

COLUMNS = (
    'Position',
    'Migration',
    'Server',
    'Destination',
    'Priority',
    'Seconds Waited',
    'Waits For',
)


class Waits(base.Column):
    """What a request waits for."""

    def human_readable(self) -> str:
        """Return one line a gate."""
        return '\n'.join(str(wait.to_core()) for wait in self._value)

    def machine_readable(self) -> list[dict[str, Any]]:
        """Return plain data."""
        return [
            {
                'reason': wait.reason,
                'gate': wait.gate,
                'limit': wait.limit,
                'owners': list(wait.owners),
                # An older release does not know these.
                'host': wait.host if 'host' in wait else '',
                'position': wait.position if 'position' in wait else 0,
            }
            for wait in self._value
        ]


class QueueList(base.HostCommand):
    """List the live migrations that wait on a host, the next one first.

    What one waits for is a gate, of this host or of its destination, which
    is named then; with the position among all that wait there.
    """

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return one row a queued request."""
        snapshot = self.ask(
            parsed_args, lambda api, ctxt: api.get_snapshot(ctxt)
        )
        return COLUMNS, _rows(snapshot)


def _rows(snapshot: snapshot_obj.Snapshot) -> Iterator[tuple[Any, ...]]:
    for entry in snapshot.queue:
        yield (
            entry.position,
            entry.migration_uuid,
            entry.instance_uuid,
            entry.destination,
            entry.priority,
            round(entry.seconds_waited, 1),
            Waits(entry.waits_for),
        )
