# SPDX-License-Identifier: Apache-2.0

"""The picture of a drain.

Made from Nova's records alone, so it can be made long after.
"""

import argparse
import datetime
import pathlib
from typing import Any

from cliff import lister

from nova_throttle.cmd import nova_api
from nova_throttle.cmd import plain
from nova_throttle.drain import chart
from nova_throttle.drain import cloud as cloud_lib
from nova_throttle.drain import errors
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import timeline

COLUMNS = (
    *('Server', 'Name', 'Attempts', 'Destination', 'Begin', 'Seconds'),
    *('Result', 'Reason'),
)


class DrainReport(nova_api.HostCommand, lister.Lister):
    """Tell how a drain of a host went, as a list and as a picture.

    A drain is what Nova has of it: migrations out of the host that follow
    each other, with no hour between in which there was none. The newest is
    shown, or the one that --at is in.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add where to draw."""
        super().add_arguments(parser)
        parser.add_argument(
            '--html',
            metavar='FILE',
            type=pathlib.Path,
            help='draw it into an HTML file that needs no other',
        )
        parser.add_argument(
            '--svg',
            metavar='FILE',
            type=pathlib.Path,
            help='draw it into an SVG file',
        )
        parser.add_argument(
            '--at',
            metavar='TIME',
            type=_time,
            help='a time in the drain, such as 2026-11-26T03:00 (UTC)',
        )

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a server."""
        cloud = self.cloud(parsed_args)
        host = parsed_args.host
        migrations = _choose(cloud.migrations(host), parsed_args.at)
        if not migrations:
            raise errors.NoDrain(host=host)
        rows = timeline.rows(
            migrations,
            *(_names(cloud), cloud.actions, cloud_lib.time),
            datetime.datetime.now(datetime.timezone.utc),
        )
        title = f'Drain of {host}, {migrations[0].created:%Y-%m-%d %H:%M} UTC'
        for path, draw in (
            (parsed_args.html, chart.html),
            (parsed_args.svg, chart.svg),
        ):
            if path is not None:
                path.write_text(draw(title, rows), encoding='utf-8')
        return COLUMNS, [_row(row) for row in rows]


def _choose(
    migrations: list[facts_lib.Migration], at: datetime.datetime | None
) -> list[facts_lib.Migration]:
    """Return the drain at a time, which is the last one before its end."""
    found = history.bursts(migrations)
    if at is not None:
        found = [burst for burst in found if burst[0].created <= at]
    return found[-1] if found else []


def _names(cloud: cloud_lib.Cloud) -> Any:
    def name(uuid: str) -> str:
        server = cloud.server(uuid)
        return server.name if server else uuid

    return name


def _row(row: timeline.Row) -> plain.Row:
    first, last = row.attempts[0], row.attempts[-1]
    return (
        *(row.uuid, row.name, len(row.attempts), last.destination),
        first.begin.isoformat(),
        round((last.end - first.begin).total_seconds(), 1),
        *(last.status, last.reason),
    )


def _time(text: str) -> datetime.datetime:
    try:
        return cloud_lib.time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'must be a time such as 2026-11-26T03:00, not {text!r}'
        ) from None
