# SPDX-License-Identifier: Apache-2.0

"""How fast a host becomes empty, as it was seen to.

Guests take the time of their memory, at the rate of what is on the wire; and
each server takes some time in which nothing is on it. Both are measured, and
nothing is said that was not.
"""

import collections
import dataclasses

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history

MIB = 1 << 20

# Seconds until a rate is worth saying.
ENOUGH = 20.0
# Steps that the rate is made of: of five minutes, as a drain looks by default.
RECENT = 60
# Guests are alike if those to come are so many times larger, at most.
ALIKE = 2


@dataclasses.dataclass(frozen=True)
class Done:
    """What was done in some time.

    :param seconds: in which something was in progress.
    :param memory: MiB of guests that were sent.
    :param servers: that have left.
    """

    seconds: float = 0.0
    memory: float = 0.0
    servers: int = 0

    def __add__(self, other: 'Done') -> 'Done':
        return Done(
            self.seconds + other.seconds,
            self.memory + other.memory,
            self.servers + other.servers,
        )


class Pace:
    """What was measured by looks at a host, one after another."""

    def __init__(self) -> None:
        self._last: facts_lib.Facts | None = None
        # While the same guests were on the wire, and all else.
        self._wire: collections.deque[Done] = collections.deque(maxlen=RECENT)
        self._beside = Done()

    def look(self, facts: facts_lib.Facts) -> None:
        """Take up what is true now."""
        last, self._last = self._last, facts
        if last is None or not (_in_progress(last) or _in_progress(facts)):
            # What waits for an operator or for a gate has no pace.
            return
        step = Done(
            (facts.at - last.at).total_seconds(),
            _sent_live(facts) - _sent_live(last),
            len(_moved(facts)) - len(_moved(last)),
        )
        if last.transfers and last.transfers.keys() == facts.transfers.keys():
            self._wire.append(step)
        else:
            self._beside += step

    @property
    def rate(self) -> float | None:
        """MiB of guests in a second, lately; None if it is not known."""
        wire = sum(self._wire, Done())
        if wire.seconds < ENOUGH or wire.memory <= 0:
            return None
        return wire.memory / wire.seconds

    def seconds(self, memory: float, servers: int) -> float | None:
        """Return how long something will take; None if it is not known.

        :param memory: MiB of guests that move live.
        :param servers: that are not on the wire yet, or move cold.
        """
        rate = self.rate
        if rate is None:
            return None
        beside = self._beside
        idle = max(beside.seconds - beside.memory / rate, 0.0)
        each = idle / beside.servers if beside.servers else 0.0
        return memory / rate + servers * each


def of_records(facts: facts_lib.Facts) -> Done:
    """Return what the present drain has done, by Nova's records alone.

    The time in which all that it has asked for waited counts as well.
    """
    seconds = history.busy(history.last(facts.migrations), facts.at)
    moved = _moved(facts)
    memory = sum(moved.values()) + _on_the_wire(facts)
    return Done(seconds, memory, len(moved))


def extrapolate(done: Done, memory: float, servers: int) -> float | None:
    """Return how long the rest will take if it is like what was done.

    :returns: seconds; None if too little was done yet, or if what is to come
        is of another size.
    """
    if not (done.servers and done.memory and done.seconds >= ENOUGH):
        return None
    if memory > servers * ALIKE * done.memory / done.servers:
        return None
    return memory * done.seconds / done.memory


def sent(facts: facts_lib.Facts, migration: facts_lib.Migration) -> float:
    """Return how much of a guest is on its destination, in MiB."""
    transfer = facts.transfers.get(migration.id)
    if transfer is None:
        return 0.0
    return max(transfer.total - transfer.remaining, 0) / MIB


def _in_progress(facts: facts_lib.Facts) -> bool:
    moving = facts.moving().values()
    return any(each.status not in facts_lib.QUEUED for each in moving)


def _sent_live(facts: facts_lib.Facts) -> float:
    """Return how much was sent; what moves cold is not sent as memory."""
    cold = {m.server for m in facts.migrations if m.kind != facts_lib.LIVE}
    moved = _moved(facts).items()
    live = sum(memory for uuid, memory in moved if uuid not in cold)
    return live + _on_the_wire(facts)


def _moved(facts: facts_lib.Facts) -> dict[str, int]:
    """Return the MiB of each server that has left."""
    return {server.uuid: server.memory for server in facts.moved}


def _on_the_wire(facts: facts_lib.Facts) -> float:
    return sum(sent(facts, each) for each in facts.moving().values())
