# SPDX-License-Identifier: Apache-2.0

"""What a drain does next.

Decides from facts and from what it has asked for itself, and does nothing.
Whoever begins again with an empty memory asks for what does not move yet.
"""

from collections.abc import Iterator
from collections import Counter
import dataclasses

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import plan

# Nova's word for a server that fits nowhere now; later it may.
NO_ROOM = 'No valid host'
UNDER_WAY = 'its migration is {}'


@dataclasses.dataclass(frozen=True)
class Options:
    """What a drain was asked to do.

    :param targets: hosts to choose from; none lets Nova choose.
    :param attempts: how often one server is asked for, at most.
    :param deadline: seconds; None is none.
    :param force_complete: whether guests on the wire are paused then.
    :param max_failures: after so many nothing more is begun; None is never.
    :param cold_at_once: cold migrations under way; 0 is unlimited. Nova has
        no queue for them.
    :param retry_after: seconds until one that failed is asked for again.
    :param patience: seconds to wait for a server that is busy otherwise,
        when nothing moves any more.
    """

    targets: tuple[str, ...] = ()
    skip_stopped: bool = False
    order: plan.Order = plan.Order.SMALLEST
    attempts: int = 3
    deadline: float | None = None
    force_complete: bool = False
    max_failures: int | None = None
    cold_at_once: int = 0
    retry_after: float = 30.0
    patience: float = 60.0


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


@dataclasses.dataclass
class _Tried:
    attempts: int = 0
    asked: bool = False
    reason: str = ''
    not_before: float = 0.0
    for_good: bool = False
    hosts: set[str] = dataclasses.field(default_factory=set)


class Course:
    """The memory of one run.

    :param options: what was asked for.
    :param now: the begin, in seconds of a clock that never goes back.
    """

    def __init__(self, options: Options, now: float) -> None:
        self._options = options
        self._active_at = now
        # When everything was asked for that can move.
        self._began: float | None = None
        self._tried: dict[str, _Tried] = {}
        self._load: Counter[str] = Counter()
        self._done: set[int] = set()
        self.failures = 0

    def recall(self, facts: facts_lib.Facts) -> None:
        """Count the attempts of another run, as Nova's records tell them."""
        for each in history.last(facts.migrations):
            if each.status in facts_lib.FAILED:
                self._tried.setdefault(each.server, _Tried()).attempts += 1

    def ended(self, facts: facts_lib.Facts) -> Iterator[facts_lib.Server]:
        """Return servers that were asked for and are at rest, still here."""
        moving = facts.moving()
        for server in facts.servers:
            tried = self._tried.get(server.uuid)
            if tried is None or not tried.asked or server.uuid in moving:
                continue
            if not self._judge(server).passing:
                yield server

    def asked(self, step: Ask) -> None:
        """Note that a server was asked for."""
        tried = self._tried.setdefault(step.server.uuid, _Tried())
        tried.attempts += 1
        tried.asked = True
        if step.target:
            self._load[step.target] += step.server.memory

    def failed(
        self, uuid: str, reason: str, now: float, host: str = ''
    ) -> None:
        """Note that an attempt has failed.

        :param host: where it was to go, if that is known.
        """
        tried = self._tried[uuid]
        tried.asked = False
        tried.reason = reason
        tried.not_before = now + self._options.retry_after
        if host:
            tried.hosts.add(host)
        if NO_ROOM not in reason:
            self.failures += 1

    def aborted(self, uuid: str) -> None:
        """Note that somebody has aborted an attempt: it was meant."""
        tried = self._tried[uuid]
        tried.asked = False
        tried.for_good = True
        tried.reason = 'its migration was aborted'

    def steps(self, facts: facts_lib.Facts, now: float) -> list[Step]:
        """Return what is to be done now."""
        steps: list[Step] = [*self._confirmations(facts)]
        if self._gives_up:
            steps += self._aborts(facts)
        elif not self._is_late(now) or self._options.force_complete:
            steps += self._asks(facts, now)
        if self._is_late(now) and self._options.force_complete:
            steps += self._forced(facts)
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
            if not self._gives_up and self._may_ask(verdict):
                return False
        return True

    def to_come(self, facts: facts_lib.Facts) -> list[plan.Verdict]:
        """Return the servers that have been, or will be, asked for."""
        if self._gives_up:
            return []
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
        tried = self._of(server)
        migration = facts.moving().get(server.uuid)
        if migration:
            return Left(server, UNDER_WAY.format(migration.status))
        if tried.asked and verdict.passing:
            return Left(server, 'was asked for')
        reasons = [verdict.reason] if verdict.reason else []
        if tried.reason:
            reasons.append(tried.reason)
        if tried.attempts > 1:
            reasons.append(f'{tried.attempts} attempts')
        return Left(server, '; '.join(reasons))

    @property
    def _gives_up(self) -> bool:
        most = self._options.max_failures
        return most is not None and self.failures >= most

    def _is_late(self, now: float) -> bool:
        deadline = self._options.deadline
        if deadline is None or self._began is None:
            return False
        return now - self._began >= deadline

    def _judge(self, server: facts_lib.Server) -> plan.Verdict:
        return plan.judge(server, self._options.skip_stopped)

    def _may_ask(self, verdict: plan.Verdict) -> bool:
        if verdict.way is plan.Way.STAY:
            return False
        tried = self._of(verdict.server)
        return tried.asked or not (
            tried.for_good or tried.attempts >= self._options.attempts
        )

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
        load = self._load.copy()
        for verdict in self._next(facts, now):
            server = verdict.server
            if server.uuid in moving:
                continue
            if verdict.way is plan.Way.COLD:
                if 0 < self._options.cold_at_once <= cold:
                    continue
                cold += 1
            target = self._target(server, facts, load)
            if target:
                load[target] += server.memory
            yield Ask(server, verdict.way, target)

    def _next(self, facts: facts_lib.Facts, now: float) -> list[plan.Verdict]:
        """Return whom to ask for; who has failed is at the end of the line."""
        ready = []
        for server in facts.servers:
            verdict = self._judge(server)
            tried = self._of(server)
            if (
                self._may_ask(verdict)
                and not tried.asked
                and tried.not_before <= now
            ):
                ready.append(verdict)
        ordered = plan.in_order(ready, self._options.order)
        return sorted(
            ordered,
            key=lambda v: self._of(v.server).attempts,
        )

    def _target(
        self,
        server: facts_lib.Server,
        facts: facts_lib.Facts,
        load: Counter[str],
    ) -> str | None:
        """Choose a host: another one than before, the least loaded by us."""
        known = self._options.targets
        before = self._of(server).hosts
        if not known and not before:
            return None
        fresh = [h for h in known or facts.others if h not in before]
        if not fresh and not known:
            return None
        return min(fresh or known, key=lambda host: load[host])

    def _of(self, server: facts_lib.Server) -> _Tried:
        return self._tried.get(server.uuid, _Tried())

    def _forced(self, facts: facts_lib.Facts) -> Iterator[ForceComplete]:
        for migration in facts.moving().values():
            if (
                migration.kind == facts_lib.LIVE
                and migration.status == 'running'
                and migration.id not in self._done
            ):
                self._done.add(migration.id)
                yield ForceComplete(migration)

    def _aborts(self, facts: facts_lib.Facts) -> Iterator[Abort]:
        for migration in facts.moving().values():
            if (
                migration.kind == facts_lib.LIVE
                and migration.status in ('queued', 'preparing')
                and migration.id not in self._done
            ):
                self._done.add(migration.id)
                yield Abort(migration)


def of_records(facts: facts_lib.Facts) -> Course:
    """Return what can be known of a drain by who has not run it."""
    found = Course(Options(), 0)
    found.recall(facts)
    return found
