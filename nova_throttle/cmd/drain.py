# SPDX-License-Identifier: Apache-2.0

"""The command that drains a host.

A drain is what Nova has of it: a disabled service whose reason says so, and
the migrations out of its host. So the command may be killed at any time.
"""

import argparse
from collections.abc import Iterator
import datetime
import importlib.util
import re
from typing import Any
from typing import TextIO

from cliff import lister

from nova_throttle.cmd import nova_api
from nova_throttle.cmd import plain
from nova_throttle.drain import cloud as cloud_lib
from nova_throttle.drain import course
from nova_throttle.drain import drain
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import plan
from nova_throttle.drain import view
from nova_throttle import exception
from nova_throttle.screen import lines

SERVERS = ('Server', 'Name', 'Status', 'MiB', 'Way', 'Reason')
UNITS = {'': 1, 's': 1, 'm': 60, 'h': 3600, 'd': 86400}

# Of cold migrations, for which Nova has no queue.
COLD_AT_ONCE = 2
# Looks until what has failed is asked for again.
LATER = 6


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
        self._parser = parser
        parser.add_argument(
            '--reason',
            metavar='TEXT',
            type=_reason,
            help='why; it is shown with the service and by drain list '
            '(default: the time of the begin)',
        )
        parser.add_argument(
            '--target',
            metavar='HOST',
            action='append',
            type=plain.host_name,
            default=[],
            help='a host to choose from, may be given more than once; '
            'without it, Nova chooses',
        )
        parser.add_argument(
            '--stopped',
            choices=('cold', 'skip'),
            default='cold',
            help='what to do with servers that are stopped (default: cold)',
        )
        parser.add_argument(
            '--order',
            choices=[each.value for each in plan.Order],
            default='smallest',
            help='which server is asked for first, by its memory or its '
            'creation (default: smallest)',
        )
        parser.add_argument(
            '--attempts',
            metavar='N',
            type=_positive,
            default=3,
            help='how often a server is asked for that fails (default: 3)',
        )
        parser.add_argument(
            '--max-failures',
            metavar='N',
            type=_positive,
            help='after so many failures take out of the queue what waits',
        )
        parser.add_argument(
            '--dry-run',
            action='store_true',
            help='only list how each server would leave, and what cannot',
        )
        self._add_waiting(parser)

    def _add_waiting(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            '--wait',
            action='store_true',
            help='show how far it is until nothing more can be done; '
            'servers that fail are tried again only then',
        )
        parser.add_argument(
            '--deadline',
            metavar='TIME',
            type=_seconds,
            help='how long to wait, such as 30m or 4h',
        )
        parser.add_argument(
            '--at-deadline',
            choices=('report', 'force-complete'),
            help='then list what is left, while the drain goes on, or have '
            'guests paused that move, so that they arrive '
            '(default: report)',
        )
        parser.add_argument(
            '--interval',
            metavar='TIME',
            type=_seconds,
            default=5.0,
            help='how often to look (default: 5s)',
        )

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command.

        :returns: the exit status.
        """
        return super().run(parsed_args) or self._status

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return one row a server on the host."""
        self._check(parsed_args)
        cloud = self.cloud(parsed_args)
        host = parsed_args.host
        for target in parsed_args.target:
            cloud.service(target)
        if parsed_args.dry_run:
            return SERVERS, self._dry_run(cloud.facts(host), parsed_args)
        service = cloud.service(host)
        if not service.up:
            raise exception.HostDown(host=host)
        _close(cloud, service, parsed_args.reason)
        try:
            facts, left = self._drain(cloud, parsed_args)
        except KeyboardInterrupt:
            self.complain(_how_to_go_on(host))
            raise SystemExit(1) from None
        self._status = 0 if facts.is_empty else 1
        return SERVERS, list(_rows(left, parsed_args))

    def _check(self, parsed_args: argparse.Namespace) -> None:
        if parsed_args.host in parsed_args.target:
            self._parser.error('--target: a host is not drained to itself')
        if parsed_args.deadline and not parsed_args.wait:
            self._parser.error('--deadline is of use with --wait only')
        if parsed_args.at_deadline and not parsed_args.deadline:
            self._parser.error('--at-deadline needs --deadline')

    def _dry_run(
        self, facts: facts_lib.Facts, parsed_args: argparse.Namespace
    ) -> list[tuple[Any, ...]]:
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
            *(cloud, parsed_args.host, _options(parsed_args)),
            *(screen.picture, screen.say, parsed_args.interval),
        )
        if not parsed_args.wait:
            run.once()
            return run.end()
        with screen:
            run.until_over()
        return run.end()


def _options(parsed_args: argparse.Namespace) -> course.Options:
    return course.Options(
        targets=tuple(parsed_args.target),
        skip_stopped=parsed_args.stopped == 'skip',
        order=plan.Order(parsed_args.order),
        attempts=parsed_args.attempts,
        deadline=parsed_args.deadline,
        force_complete=parsed_args.at_deadline == 'force-complete',
        max_failures=parsed_args.max_failures,
        # Nobody would ask for the others later.
        cold_at_once=COLD_AT_ONCE if parsed_args.wait else 0,
        retry_after=LATER * parsed_args.interval,
        patience=2 * LATER * parsed_args.interval,
    )


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
) -> Iterator[tuple[Any, ...]]:
    for each in left:
        verdict = plan.judge(each.server, parsed_args.stopped == 'skip')
        yield _row(each.server, verdict.way, each.reason)


def _row(
    server: facts_lib.Server, way: plan.Way, reason: str
) -> tuple[Any, ...]:
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


def _seconds(text: str) -> float:
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([smhd]?)', text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(
            f'must be a time such as 90s, 30m or 4h, not {text!r}'
        )
    return float(match[1]) * UNITS[match[2]]


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(
            f'must be a number above 0, not {text!r}'
        )
    return int(text)


def _reason(text: str) -> str:
    """Return a reason that Nova can keep."""
    most = 255 - len(facts_lib.CANCELLED_MARK)
    if not text.strip() or not text.isprintable() or len(text) > most:
        raise argparse.ArgumentTypeError(
            f'must be one line of 1 to {most} characters'
        )
    return text
