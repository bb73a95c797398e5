# SPDX-License-Identifier: Apache-2.0

"""What a drain does next.

Decides from facts and from what it has asked for itself, and does nothing.
Whoever begins again with an empty memory asks for what does not move yet.
"""

from collections.abc import Iterator
import dataclasses

from nova_throttle.drain import attempts
from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import options as options_lib
from nova_throttle.drain import plan

UNDER_WAY = 'its migration is {}'


@dataclasses.dataclass(frozen=True)
class Ask:
    """Ask for a migration; the target None lets Nova choose."""

    server: facts_lib.Server
    way: plan.Way
    target: str | None


@dataclasses.dataclass(frozen=True)
class Confirm:
    """Confirm a cold migration."""

    server: facts_lib.Server


@dataclasses.dataclass(frozen=True)
class ForceComplete:
    """Pause a guest on the wire."""

    migration: facts_lib.Migration


@dataclasses.dataclass(frozen=True)
class Abort:
    """Take a migration out before its guest moves."""

    migration: facts_lib.Migration


Step = Ask | Confirm | ForceComplete | Abort


@dataclasses.dataclass(frozen=True)
class Left:
    """A server that keeps the host from being empty."""

    server: facts_lib.Server
    reason: str


class Course:
    """The decisions of one run.

    :param options: what was asked for.
    :param now: the begin, in seconds of a clock that never goes back.
    """

    def __init__(self, options: options_lib.Options, now: float) -> None:
        self._options = options
        self.attempts = attempts.Attempts(options)
        self._active_at = now
        # When everything was asked for that can move.
        self._began: float | None = None
        # Migrations that were pushed, or aborted.
        self._done: set[int] = set()

    def ended(self, facts: facts_lib.Facts) -> Iterator[facts_lib.Server]:
        """Return servers that were asked for and are at rest, still here."""
        moving = facts.moving()
        for server in facts.servers:
            if (
                self.attempts.of(server).asked
                and server.uuid not in moving
                and not self._judge(server).passing
            ):
                yield server

    def steps(self, facts: facts_lib.Facts, now: float) -> list[Step]:
        """Return what is to be done now."""
        steps: list[Step] = [*self._confirmations(facts)]
        if self.attempts.give_up:
            steps += map(Abort, self._once(facts, 'queued', 'preparing'))
        elif not self._is_late(now) or self._options.force_complete:
            steps += self._asks(facts, now)
        if self._is_late(now) and self._options.force_complete:
            steps += map(ForceComplete, self._once(facts, 'running'))
        if steps or facts.moving():
            self._active_at = now
        if self._began is None:
            self._began = now
        return steps

    def is_over(self, facts: facts_lib.Facts, now: float) -> bool:
        """Tell whether waiting any longer is no use."""
        if self._is_late(now) and not self._options.force_complete:
            return True
        if facts.moving() or any(self._confirmations(facts)):
            return False
        waits_for_task = now - self._active_at < self._options.patience
        for server in facts.servers:
            verdict = self._judge(server)
            if verdict.passing and waits_for_task:
                return False
            if self._may_ask(verdict):
                return False
        return True

    def to_come(self, facts: facts_lib.Facts) -> list[plan.Verdict]:
        """Return the servers that have been, or will be, asked for."""
        return [v for v in map(self._judge, facts.servers) if self._may_ask(v)]

    def left(self, facts: facts_lib.Facts) -> list[Left]:
        """Return what keeps the host from being empty, with the reasons."""
        found = [self._left(server, facts) for server in facts.servers]
        for server in facts.unconfirmed:
            reason = 'its move off this host is not confirmed'
            found.append(Left(server, reason))
        return found

    def _left(self, server: facts_lib.Server, facts: facts_lib.Facts) -> Left:
        verdict = self._judge(server)
        tried = self.attempts.of(server)
        migration = facts.moving().get(server.uuid)
        if migration:
            return Left(server, UNDER_WAY.format(migration.status))
        if tried.asked and verdict.passing:
            return Left(server, 'was asked for')
        reasons = [verdict.reason] if verdict.reason else []
        if tried.reason:
            reasons.append(tried.reason)
        if tried.count > 1:
            reasons.append(f'{tried.count} attempts')
        return Left(server, '; '.join(reasons))

    def _is_late(self, now: float) -> bool:
        deadline = self._options.deadline
        if deadline is None or self._began is None:
            return False
        return now - self._began >= deadline

    def _judge(self, server: facts_lib.Server) -> plan.Verdict:
        return plan.judge(server, self._options.skip_stopped)

    def _may_ask(self, verdict: plan.Verdict) -> bool:
        if verdict.way is plan.Way.STAY or self.attempts.give_up:
            return False
        return self.attempts.may_succeed(verdict.server)

    def _confirmations(self, facts: facts_lib.Facts) -> Iterator[Confirm]:
        cold = {
            each.server
            for each in facts.migrations
            if each.kind == facts_lib.COLD
            and each.status == facts_lib.UNCONFIRMED
        }
        for server in facts.unconfirmed:
            if server.uuid in cold and not server.task:
                yield Confirm(server)

    def _asks(self, facts: facts_lib.Facts, now: float) -> Iterator[Ask]:
        moving = facts.moving()
        cold = sum(m.kind != facts_lib.LIVE for m in moving.values())
        load = self.attempts.load.copy()
        for verdict in self._next(facts, now):
            server = verdict.server
            if server.uuid in moving:
                continue
            if verdict.way is plan.Way.COLD:
                if 0 < self._options.cold_at_once <= cold:
                    continue
                cold += 1
            target = self.attempts.target(server, facts.others, load)
            if target:
                load[target] += server.memory
            yield Ask(server, verdict.way, target)

    def _next(self, facts: facts_lib.Facts, now: float) -> list[plan.Verdict]:
        """Return whom to ask for; who has failed is at the end of the line."""
        ready = [
            verdict
            for verdict in map(self._judge, facts.servers)
            if self._may_ask(verdict)
            and self.attempts.of(verdict.server).is_due(now)
        ]
        ordered = plan.in_order(ready, self._options.order)
        return sorted(ordered, key=lambda v: self.attempts.of(v.server).count)

    def _once(
        self, facts: facts_lib.Facts, *statuses: str
    ) -> Iterator[facts_lib.Migration]:
        """Return live migrations with such a status, each once in a run."""
        for migration in facts.moving().values():
            if (
                migration.kind == facts_lib.LIVE
                and migration.status in statuses
                and migration.id not in self._done
            ):
                self._done.add(migration.id)
                yield migration


def of_records(facts: facts_lib.Facts) -> Course:
    """Return what can be known of a drain by who has not run it."""
    found = Course(options_lib.Options(), 0)
    found.attempts.recall(facts)
    return found
