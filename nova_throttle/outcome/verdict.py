# SPDX-License-Identifier: Apache-2.0

"""Where the guest of a live migration is, by all that was seen of it.

What may be deleted hangs on it. Neither a domain that is off or gone at the
source, nor silence, says that the guest has arrived.
"""

from collections.abc import Callable
import enum

from nova_throttle import exception


class Sight(str, enum.Enum):
    """What can be seen of a guest: a closed set."""

    RUNS = 'runs'
    # By whoever may pause it, and not because it is on its way.
    PAUSED = 'paused'
    # It comes, and is not here yet.
    MOVES = 'moves'
    # Defined, and nothing more.
    OFF = 'off'
    ABSENT = 'absent'


IS_HERE = frozenset({Sight.RUNS, Sight.PAUSED})
# One that is off may have arrived, and been switched off since.
NOT_HERE = frozenset({Sight.MOVES, Sight.ABSENT})


class Verdict(enum.Enum):
    """What follows from all that was seen."""

    ARRIVED = 'arrived'
    STAYED = 'stayed'
    # By Nova's records the server is on neither host, or was deleted.
    ELSEWHERE = 'elsewhere'


def believe(believed: Verdict, succeeded: bool | None) -> Verdict | None:
    """Tell whether a driver may be believed.

    It looks at what is left of the domain at the source, which says nothing
    if that was switched off; so only a success of the hypervisor's own call
    is enough.

    :param believed: what the driver takes for true.
    :param succeeded: whether the call has; None if that is not known.
    :returns: None if the guest has to be looked for.
    """
    if succeeded is None:
        return believed
    if succeeded and believed is Verdict.ARRIVED:
        return believed
    return None


def find(
    host: str | None,
    source: str,
    dest: str,
    here: Callable[[], Sight],
    has_left: Callable[[], bool],
    there: Callable[[], Sight],
) -> Verdict:
    """Find out where a guest is; what is not needed is not asked.

    :param host: the server's host in the records; None if it was deleted.
    :param here: looks for it at the source.
    :param has_left: tells whether one that runs there is about to be gone.
    :param there: looks for it on the destination.
    :raises NotSeen: if that cannot be said now. Nothing may be deleted then.
    """
    if host == dest:
        return Verdict.ARRIVED
    if host != source:
        return Verdict.ELSEWHERE
    at_source = here()
    if at_source is Sight.RUNS and not has_left():
        return Verdict.STAYED
    at_dest = there()
    if at_dest in IS_HERE:
        return Verdict.ARRIVED
    if at_dest is Sight.ABSENT:
        return Verdict.STAYED
    raise exception.NotSeen(
        here=at_source.value, host=dest, there=at_dest.value
    )
