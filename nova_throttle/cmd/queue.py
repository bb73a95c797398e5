# SPDX-License-Identifier: Apache-2.0

"""Commands about the queue.

What is shown is the order at one instant, the next request first.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from nova_throttle.cmd import base
from nova_throttle.cmd import progress
from nova_throttle.objects import snapshot as snapshot_obj

COLUMNS = (
    'Position',
    'Migration',
    'Server',
    'Destination',
    'Priority',
    'Seconds Waited',
    'Waits For',
    'Progress',
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
    is named then; with the position among all that wait there. One whose
    guest moves already, slowly, has progress.
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
    known = progress.of(snapshot)
    for entry in snapshot.queue:
        found = known.get(entry.migration_uuid)
        yield (
            entry.position,
            entry.migration_uuid,
            entry.instance_uuid,
            entry.destination,
            entry.priority,
            round(entry.seconds_waited, 1),
            Waits(entry.waits_for),
            progress.Summaries([found] if found else []),
        )
