# SPDX-License-Identifier: Apache-2.0

"""Commands about drains that go on: see, call off, undo.

What they act on is what Nova has: none of them needs the command that began
the drain.
"""

import argparse
from collections.abc import Callable
import functools

from cliff import lister
from cliff import show

from nova_throttle.cmd import nova_api
from nova_throttle.cmd import plain
from nova_throttle.drain import cloud as cloud_lib
from nova_throttle.drain import course
from nova_throttle.drain import errors
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import plan
from nova_throttle.drain import progress
from nova_throttle.drain import undo
from nova_throttle.drain import view

SUMMARY = (
    *('Host', 'Reason', 'Moved', 'On The Wire', 'Preparing', 'Queued'),
    *('Failed', 'Left', 'MiB Left', 'MiB/s', 'Seconds Left'),
)
DONE = ('Server', 'Migration', 'Result')


class Measured(plain.Column):
    """A figure, or nobody knows it yet."""

    def human_readable(self) -> str:
        """Return words."""
        return 'unknown' if self._value is None else self.in_words()

    def in_words(self) -> str:
        """Return the figure in words."""
        return str(self._value)


class Duration(Measured):
    """Seconds."""

    def in_words(self) -> str:
        """Return them in minutes or hours if they are many."""
        return view.duration(self._value)


class DrainList(nova_api.Command, lister.Lister):
    """List the hosts that are drained, with how far each is."""

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a host."""
        cloud = self.cloud(parsed_args)
        drained = [each for each in cloud.services() if each.is_drained]
        return SUMMARY, (
            _summary(cloud.facts(service.host, transfers=True))
            for service in drained
        )


class DrainShow(nova_api.HostCommand, show.ShowOne):
    """Show how far the drain of a host is, and what is left there."""

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Values:
        """Return one value a fact."""
        cloud = self.cloud(parsed_args)
        facts = cloud.facts(parsed_args.host, transfers=True)
        if not facts.service.is_drained:
            raise errors.NotDraining(host=parsed_args.host)
        left = course.of_records(facts).left(facts)
        servers = [
            f'{each.server.uuid} {each.server.name}'
            + (f': {each.reason}' if each.reason else '')
            for each in left
        ]
        return (
            (*SUMMARY, 'Servers Left'),
            (*_summary(facts), plain.Lines(servers)),
        )


class DrainCancel(nova_api.HostCommand, lister.Lister):
    """Call a drain off: nothing more of it begins.

    Live migrations that wait or prepare are aborted; those whose guests move
    go on, unless --abort-running is given. The compute service stays
    disabled, and what has moved stays where it is: see drain undo.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what else to abort."""
        super().add_arguments(parser)
        parser.add_argument(
            '--abort-running',
            action='store_true',
            help='abort those whose guests move, too',
        )

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a migration that was aborted."""
        cloud = self.cloud(parsed_args)
        service = _drained(cloud, parsed_args.host)
        # First of all: whoever waits for the drain asks for nothing more.
        cloud.close(service, facts_lib.CANCELLED_MARK + service.why)
        return DONE, _abort(cloud, parsed_args.host, parsed_args.abort_running)


class DrainUndo(nova_api.HostCommand, lister.Lister):
    """Undo a drain: open the host again, and have its servers come back.

    What waits is aborted, the compute service is enabled, and a live
    migration back is asked for each server that the drain has moved and that
    still is where it went. The others are listed with the reason.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what not to do."""
        super().add_arguments(parser)
        parser.add_argument(
            '--stay',
            action='store_true',
            help='only open the host again; what has moved stays there',
        )

    def take_action(self, parsed_args: argparse.Namespace) -> plain.Table:
        """Return one row a migration, or a server that does not come back."""
        cloud = self.cloud(parsed_args)
        host = parsed_args.host
        service = _drained(cloud, host)
        rows = _abort(cloud, host, False)
        migrations = cloud.facts(host).migrations
        cloud.open(service)
        if not parsed_args.stay:
            rows += [
                _bring_back(cloud, host, each)
                for each in undo.returns(migrations, cloud.server)
            ]
        return DONE, rows


def _drained(cloud: cloud_lib.Cloud, host: str) -> facts_lib.Service:
    service = cloud.service(host)
    if not service.was_drained:
        raise errors.NotDraining(host=host)
    return service


def _abort(
    cloud: cloud_lib.Cloud, host: str, running: bool
) -> list[plain.Row]:
    """Abort what moves out of a host.

    :param running: whether also what is on the wire.
    """
    return [
        (
            *(each.server, each.uuid),
            _try('aborted', functools.partial(cloud.abort, each)),
        )
        for each in cloud.migrations(host)
        if each.is_moving
        and each.kind == facts_lib.LIVE
        and (running or each.status not in facts_lib.ON_THE_WIRE)
    ]


def _bring_back(
    cloud: cloud_lib.Cloud, host: str, verdict: plan.Verdict
) -> plain.Row:
    server = verdict.server
    if verdict.way is not plan.Way.LIVE:
        return server.uuid, '', f'stays on {server.host}: {verdict.reason}'
    result = _try(
        f'asked for: back from {server.host}',
        lambda: cloud.migrate_live(server.uuid, host),
    )
    return server.uuid, '', result


def _try(done: str, act: Callable[[], None]) -> str:
    try:
        act()
    except errors.CloudRefused as error:
        return str(error)
    return done


def _summary(facts: facts_lib.Facts) -> plain.Row:
    found = progress.measure(facts, course.of_records(facts).to_come(facts))
    return (
        *(facts.service.host, facts.service.why),
        *view.counted(found).values(),
        found.memory,
        Measured(None if found.rate is None else round(found.rate, 1)),
        Duration(None if found.eta is None else round(found.eta)),
    )
