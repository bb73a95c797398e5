# SPDX-License-Identifier: Apache-2.0

"""The command that drains a host.

A drain is what Nova has of it: a disabled service whose reason says so, and
the migrations out of its host. So the command may be killed at any time.
"""

import argparse
from collections.abc import Iterator
import datetime
import importlib.util
from typing import TextIO

from cliff import lister

from nova_throttle.cmd import drain_options
from nova_throttle.cmd import nova_api
from nova_throttle.cmd import plain
from nova_throttle.drain import cloud as cloud_lib
from nova_throttle.drain import course
from nova_throttle.drain import drain
from nova_throttle.drain import errors
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import plan
from nova_throttle.drain import view
from nova_throttle.screen import lines

SERVERS = ('Server', 'Name', 'Status', 'MiB', 'Way', 'Reason')


class DrainStart(nova_api.HostCommand, lister.Lister):
    """Empty a host: have all its servers migrate away.

    The compute service is disabled first, with the reason "drain: TEXT".
    Then all live migrations are asked for at once; they wait in the queue of
    the host. Servers that are stopped are migrated cold, which --wait
    confirms. Run it again to go on with a drain that was interrupted.

    What is listed in the end is what is left on the host, and why. The exit
    status is 0 if the host is empty and 1 if it is not; with --dry-run, 0 if
    all can move.
    """

    _status = 0

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what a drain can be told."""
        super().add_arguments(parser)
        drain_options.add(parser)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command.

        :returns: the exit status.
        """
        return super().run(parsed_args) or self._status

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a server on the host."""
        drain_options.check(self.parser, parsed_args)
        cloud = self.cloud(parsed_args)
        host = parsed_args.host
        for target in parsed_args.target:
            cloud.service(target)
        if parsed_args.dry_run:
            return SERVERS, self._dry_run(cloud.facts(host), parsed_args)
        service = cloud.service(host)
        if not service.up:
            raise errors.HostDown(host=host)
        _close(cloud, service, parsed_args.reason)
        try:
            facts, left = self._drain(cloud, parsed_args)
        except KeyboardInterrupt:
            self.complain(_how_to_go_on(host))
            raise SystemExit(1) from None
        self._status = 0 if facts.is_empty else 1
        return SERVERS, list(_rows(left, parsed_args))

    def _dry_run(
        self, facts: facts_lib.Facts, parsed_args: argparse.Namespace
    ) -> list[plain.Row]:
        skip = parsed_args.stopped == 'skip'
        moving = facts.moving()
        verdicts = plan.in_order(
            (plan.judge(server, skip) for server in facts.servers),
            plan.Order(parsed_args.order),
        )
        stays = plan.Way.STAY
        verdicts.sort(key=lambda verdict: verdict.way is not stays)
        self._status = int(
            any(
                v.way is stays and v.server.uuid not in moving
                for v in verdicts
            )
        )
        return [_row(v.server, v.way, _why(v, moving)) for v in verdicts]

    def _drain(
        self, cloud: cloud_lib.Cloud, parsed_args: argparse.Namespace
    ) -> tuple[facts_lib.Facts, list[course.Left]]:
        screen = _screen(self.app.stderr)
        run = drain.Run(
            *(cloud, parsed_args.host, drain_options.read(parsed_args)),
            *(screen.picture, screen.say, parsed_args.interval),
        )
        if not parsed_args.wait:
            run.once()
            return run.end()
        with screen:
            run.until_over()
        return run.end()


def _close(
    cloud: cloud_lib.Cloud, service: facts_lib.Service, reason: str | None
) -> None:
    """Disable a service, unless a drain has done so already."""
    if service.is_drained and reason in (None, service.why):
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    text = reason or service.why or now.isoformat(timespec='seconds')
    cloud.close(service, facts_lib.MARK + text)


def _rows(
    left: list[course.Left], parsed_args: argparse.Namespace
) -> Iterator[plain.Row]:
    for each in left:
        verdict = plan.judge(each.server, parsed_args.stopped == 'skip')
        yield _row(each.server, verdict.way, each.reason)


def _row(server: facts_lib.Server, way: plan.Way, reason: str) -> plain.Row:
    return (
        *(server.uuid, server.name, server.status, server.memory),
        *(way.value, reason),
    )


def _why(verdict: plan.Verdict, moving: dict[str, facts_lib.Migration]) -> str:
    migration = moving.get(verdict.server.uuid)
    if migration:
        return course.UNDER_WAY.format(migration.status)
    return verdict.reason


def _how_to_go_on(host: str) -> str:
    return (
        f'the drain of {host} goes on; watch it with "nova-throttle drain '
        f'start {host} --wait", end it with "nova-throttle drain cancel '
        f'{host}"'
    )


def _screen(stream: TextIO) -> lines.Lines[drain.Picture]:
    if lines.is_terminal(stream) and importlib.util.find_spec('rich'):
        # Local: an extra of the package.
        from nova_throttle.drain import table
        from nova_throttle.screen import table as table_lib

        return table_lib.Table(stream, table.draw)
    return view.Lines(stream)
