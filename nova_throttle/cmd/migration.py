# SPDX-License-Identifier: Apache-2.0

"""The live migrations of a host, from the command line.

What is shown is each one that is not over, in the order of their arrival.
"""

import argparse
from collections.abc import Iterator

from nova_throttle.cmd import base
from nova_throttle.cmd import plain
from nova_throttle.cmd import progress
from nova_throttle.objects import snapshot as snapshot_obj

COLUMNS = (
    'Migration',
    'Server',
    'Destination',
    'State',
    *progress.COLUMNS,
    'Problem',
)


class MigrationList(base.HostCommand):
    """List the live migrations from a host that are not over.

    With how far each has come: the one whose guest moves, with how much is
    done and left, how fast, in which pass over its memory, and the seconds
    until it ends at this rate. And, for one whose end meets a fault, what is
    tried until it succeeds.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a migration."""
        snapshot = self.ask(
            parsed_args, lambda api, ctxt: api.get_snapshot(ctxt)
        )
        return COLUMNS, _rows(snapshot)


def _rows(snapshot: snapshot_obj.Snapshot) -> Iterator[plain.Row]:
    known = progress.of(snapshot)
    # An older release does not say it.
    for view in snapshot.migrations if 'migrations' in snapshot else ():
        yield (
            view.migration_uuid,
            view.instance_uuid,
            view.destination,
            view.state,
            *progress.cells(known.get(view.migration_uuid)),
            view.problem,
        )
