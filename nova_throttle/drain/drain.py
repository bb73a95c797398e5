# SPDX-License-Identifier: Apache-2.0

"""One run of a drain: reads facts, takes steps, tells of it, until it is over.

It may be killed between any two lines: what was asked for goes on in Nova.
"""

from collections.abc import Callable
import dataclasses
import time
from typing import Any
from typing import Protocol

from nova_throttle.drain import course as course_lib
from nova_throttle.drain import errors
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import options as options_lib
from nova_throttle.drain import pace
from nova_throttle.drain import plan
from nova_throttle.drain import progress

# What has no reason of Nova's own.
UNKNOWN = 'its migration failed; nova-compute logs say why'


class Cloud(Protocol):
    """What a run needs of Nova; see cloud.py."""

    def facts(self, host: str, transfers: bool = False) -> facts_lib.Facts:
        """Return what is true of a host."""

    def actions(self, uuid: str) -> list[dict[str, Any]]:
        """Return what was done with a server, the newest first."""

    def migrate_live(self, uuid: str, target: str | None) -> None:
        """Ask for a live migration."""

    def migrate_cold(self, uuid: str, target: str | None) -> None:
        """Ask for a cold migration."""

    def confirm(self, uuid: str) -> None:
        """Confirm a cold migration."""

    def force_complete(self, migration: facts_lib.Migration) -> None:
        """Have a guest paused, so that it arrives."""

    def abort(self, migration: facts_lib.Migration) -> None:
        """Abort a live migration."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """What is told of a drain while it lasts.

    :param notes: what has happened since the last picture, a line each.
    """

    host: str
    facts: facts_lib.Facts
    progress: progress.Progress
    notes: tuple[str, ...]


class Run:
    """One run.

    :param cloud: Nova.
    :param host: what is drained.
    :param options: how.
    :param show: is told of the drain after each look.
    :param say: is told of what has no picture.
    :param interval: seconds between two looks.
    """

    def __init__(
        self,
        cloud: Cloud,
        host: str,
        options: options_lib.Options,
        show: Callable[[Picture], None],
        say: Callable[[str], None],
        interval: float,
    ) -> None:
        self._cloud = cloud
        self._host = host
        self._skip_stopped = options.skip_stopped
        self._show = show
        self._say = say
        self._interval = interval
        self._course = course_lib.Course(options, time.monotonic())
        self._pace = pace.Pace()
        self._notes: list[str] = []
        # Why Nova did not answer the last time; it is told once.
        self._trouble = ''

    def once(self) -> None:
        """Ask for all that can move."""
        self._take_steps(self._cloud.facts(self._host))

    def until_over(self) -> None:
        """Go on until nothing more can be done, or it is too late.

        Where Nova does not answer, that is waited for.
        """
        self._tell_what_stays(self._cloud.facts(self._host))
        while not self._look():
            time.sleep(self._interval)

    def end(self) -> tuple[facts_lib.Facts, list[course_lib.Left]]:
        """Return what is true now, and what keeps the host from emptiness."""
        facts = self._cloud.facts(self._host)
        return facts, self._course.left(facts)

    def _tell_what_stays(self, facts: facts_lib.Facts) -> None:
        moving = facts.moving()
        for server in facts.servers:
            verdict = plan.judge(server, self._skip_stopped)
            if verdict.reason and server.uuid not in moving:
                self._notes.append(f'{server.name} stays: {verdict.reason}')

    def _look(self) -> bool:
        try:
            facts = self._cloud.facts(self._host, transfers=True)
            self._take_steps(facts)
        except errors.CloudAway as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._say(f'{error}; trying again')
            return False
        self._trouble = ''
        notes, self._notes = tuple(self._notes), []
        self._pace.look(facts)
        to_come = self._course.to_come(facts)
        measured = progress.measure(facts, to_come, self._pace)
        self._show(Picture(self._host, facts, measured, notes))
        if not facts.service.is_drained:
            self._say('the drain was cancelled')
            return True
        return self._course.is_over(facts, time.monotonic())

    def _take_steps(self, facts: facts_lib.Facts) -> None:
        if not facts.service.is_drained:
            return
        for server in self._course.ended(facts):
            self._note_end(server, facts)
        for step in self._course.steps(facts, time.monotonic()):
            self._take(step)

    def _note_end(
        self, server: facts_lib.Server, facts: facts_lib.Facts
    ) -> None:
        own = [m for m in facts.migrations if m.server == server.uuid]
        last = own[-1] if own else None
        if last and last.status == 'cancelled':
            self._course.attempts.aborted(server.uuid)
            self._notes.append(f'{server.name} was aborted')
            return
        try:
            reason = why(self._cloud.actions(server.uuid))
        except errors.CloudRefused as error:
            reason = str(error)
        self._failed(server, reason, last.destination if last else '')

    def _failed(
        self, server: facts_lib.Server, reason: str, host: str = ''
    ) -> None:
        attempts = self._course.attempts
        attempts.failed(server.uuid, reason, time.monotonic(), host)
        self._notes.append(f'{server.name} failed: {reason}')

    def _take(self, step: course_lib.Step) -> None:
        if isinstance(step, course_lib.Ask):
            self._ask(step)
            return
        try:
            if isinstance(step, course_lib.Confirm):
                self._cloud.confirm(step.server.uuid)
            elif isinstance(step, course_lib.ForceComplete):
                self._cloud.force_complete(step.migration)
            else:
                self._cloud.abort(step.migration)
        except errors.CloudRefused as error:
            # It has gone on meanwhile; the next look tells.
            self._notes.append(str(error))

    def _ask(self, step: course_lib.Ask) -> None:
        live = step.way is plan.Way.LIVE
        ask = self._cloud.migrate_live if live else self._cloud.migrate_cold
        try:
            ask(step.server.uuid, step.target)
        except errors.CloudRefused as error:
            self._course.attempts.asked(step.server, step.target)
            self._failed(step.server, str(error), step.target or '')
        else:
            self._course.attempts.asked(step.server, step.target)
            where = f' to {step.target}' if step.target else ''
            self._notes.append(
                f'{step.server.name} asked for: {step.way.value}{where}'
            )


def why(actions: list[dict[str, Any]]) -> str:
    """Return why the newest of some instance actions has failed."""
    for event in actions[0]['events'] if actions else ():
        if event['result'] == 'Error' and event.get('details'):
            return str(event['details']).strip().splitlines()[0]
    return UNKNOWN
