# SPDX-License-Identifier: Apache-2.0

"""How far a drain is, and when it will be done.

Both from facts, so that anybody may ask at any time. The end is an estimate:
of what this drain will still move, by what was measured so far.
"""

from collections.abc import Iterable
import dataclasses

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import pace as pace_lib
from nova_throttle.drain import plan


@dataclasses.dataclass(frozen=True)
class Progress:
    """A drain at one instant.

    :param moved: servers that have left.
    :param on_the_wire: whose guests move now.
    :param preparing: whose destinations prepare, or that wait for the link.
    :param queued: that wait for their turn.
    :param failed: that are still here after a migration that failed.
    :param left: that are on the host, those above included.
    :param memory: MiB of the guests that are left and will move.
    :param rate: MiB in a second; None if it is not known yet.
    :param eta: seconds; None if nobody can tell.
    """

    moved: int
    on_the_wire: int
    preparing: int
    queued: int
    failed: int
    left: int
    memory: int
    rate: float | None
    eta: float | None


@dataclasses.dataclass(frozen=True)
class _Rest:
    """What will still move.

    :param memory: MiB of guests.
    :param live: of them, MiB that are sent from memory to memory.
    :param servers: all of them.
    :param wire: those whose guests are being sent.
    """

    memory: float
    live: float
    servers: int
    wire: int


def measure(
    facts: facts_lib.Facts,
    to_come: Iterable[plan.Verdict],
    pace: pace_lib.Pace | None = None,
) -> Progress:
    """Say how far a drain is.

    :param to_come: how the servers will leave that are at rest.
    :param pace: what somebody has measured who has looked for some time.
    """
    moving = facts.moving()
    waiting = sum(m.status in facts_lib.QUEUED for m in moving.values())
    wire = sum(m.status in facts_lib.ON_THE_WIRE for m in moving.values())
    rest = _rest(facts, moving, to_come)
    rate, eta = _end(facts, rest, pace or pace_lib.Pace())
    return Progress(
        moved=len({server.uuid for server in facts.moved}),
        on_the_wire=wire,
        preparing=len(moving) - waiting - wire,
        queued=waiting,
        failed=_failed(facts, moving),
        left=len(facts.servers),
        memory=round(rest.memory),
        rate=rate,
        eta=eta if rest.servers else 0.0,
    )


def _end(
    facts: facts_lib.Facts, rest: _Rest, pace: pace_lib.Pace
) -> tuple[float | None, float | None]:
    """Return the rate, and the time until the end, if they are known."""
    if pace.rate:
        return pace.rate, pace.seconds(rest.live, rest.servers - rest.wire)
    done = pace_lib.of_records(facts)
    eta = pace_lib.extrapolate(done, rest.memory, rest.servers)
    known = done.servers and done.seconds and done.memory
    return done.memory / done.seconds if known else None, eta


def _rest(
    facts: facts_lib.Facts,
    moving: dict[str, facts_lib.Migration],
    to_come: Iterable[plan.Verdict],
) -> _Rest:
    here = {server.uuid: server for server in facts.servers}
    under_way = [m for uuid, m in moving.items() if uuid in here]
    left = [
        (v.server.memory, v.way is plan.Way.LIVE)
        for v in to_come
        if v.server.uuid not in moving
    ] + [
        (
            max(here[m.server].memory - pace_lib.sent(facts, m), 0),
            m.kind == facts_lib.LIVE,
        )
        for m in under_way
    ]
    return _Rest(
        memory=sum(memory for memory, _ in left),
        live=sum(memory for memory, is_live in left if is_live),
        servers=len(left),
        wire=sum(m.id in facts.transfers for m in under_way),
    )


def _failed(
    facts: facts_lib.Facts, moving: dict[str, facts_lib.Migration]
) -> int:
    newest = {m.server: m for m in history.last(facts.migrations)}
    here = {server.uuid for server in facts.servers} - set(moving)
    return sum(
        uuid in here and each.status in facts_lib.FAILED
        for uuid, each in newest.items()
    )
