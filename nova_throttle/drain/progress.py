# SPDX-License-Identifier: Apache-2.0

"""How far a drain is, and when it will be done.

Both from facts alone, so that anybody may ask at any time. The end is an
estimate: what is left, at the rate of this drain so far.
"""

import dataclasses

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import plan

MIB = 1 << 20

QUEUED = frozenset({'accepted', 'queued'})


@dataclasses.dataclass(frozen=True)
class Progress:
    """A drain at one instant.

    :param moved: servers that have left.
    :param on_the_wire: whose guests move now.
    :param preparing: whose destinations prepare, or that wait for the link.
    :param queued: that wait for their turn.
    :param failed: that are still here after a migration that failed.
    :param left: that are on the host, those above included.
    :param memory: MiB of the guests that are left and can move.
    :param rate: MiB in a second; None if nothing has moved yet.
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


def measure(facts: facts_lib.Facts, skip_stopped: bool = False) -> Progress:
    """Say how far a drain is.

    :param skip_stopped: whether servers that are stopped stay.
    """
    moving = facts.moving()
    waiting = sum(m.status in QUEUED for m in moving.values())
    wire = sum(m.status in facts_lib.ON_THE_WIRE for m in moving.values())
    memory = _still_to_move(facts, moving, skip_stopped)
    rate = _rate(facts)
    return Progress(
        moved=len({server.uuid for server in facts.moved}),
        on_the_wire=wire,
        preparing=len(moving) - waiting - wire,
        queued=waiting,
        failed=_failed(facts, moving),
        left=len(facts.servers),
        memory=memory,
        rate=rate,
        eta=memory / rate if rate else (None if memory else 0.0),
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


def _still_to_move(
    facts: facts_lib.Facts,
    moving: dict[str, facts_lib.Migration],
    skip_stopped: bool,
) -> int:
    memory = 0
    for server in facts.servers:
        migration = moving.get(server.uuid)
        if migration:
            memory += server.memory - _sent(facts, migration)
        elif plan.judge(server, skip_stopped).way is not plan.Way.STAY:
            memory += server.memory
    return max(memory, 0)


def _sent(facts: facts_lib.Facts, migration: facts_lib.Migration) -> int:
    transfer = facts.transfers.get(migration.id)
    if transfer is None:
        return 0
    return (transfer.total - transfer.remaining) // MIB


def _rate(facts: facts_lib.Facts) -> float | None:
    moved = {server.uuid: server.memory for server in facts.moved}
    sent = sum(_sent(facts, m) for m in facts.moving().values())
    seconds = history.busy(history.last(facts.migrations), facts.at)
    total = sum(moved.values()) + sent
    return total / seconds if total and seconds else None
