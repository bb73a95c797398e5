# SPDX-License-Identifier: Apache-2.0

"""How each server may leave a host, and in which order.

What can't move is known before anything is asked for, with its reason; Nova
may still know another reason when it is asked.
"""

from collections.abc import Iterable
import dataclasses
import enum

from nova_throttle.drain import facts as facts_lib

TAG = 'nova-throttle:drain='
STOPPED = 'SHUTOFF'

_STAYS = {
    'ERROR': 'is in ERROR',
    'SUSPENDED': 'is suspended',
    'SHELVED': 'is shelved',
    'SHELVED_OFFLOADED': 'is shelved',
    'RESCUE': 'is rescued',
    'SOFT_DELETED': 'is deleted softly, and can still be restored',
    'VERIFY_RESIZE': 'its resize to this host is not confirmed',
}
# They end by themselves.
_PASSING = frozenset(
    {
        *('BUILD', 'REBUILD', 'REBOOT', 'HARD_REBOOT', 'PASSWORD'),
        *('MIGRATING', 'RESIZE', 'REVERT_RESIZE'),
    }
)


class Way(enum.Enum):
    """How a server leaves."""

    LIVE = 'live'
    COLD = 'cold'
    STAY = 'stay'


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a drain can do with a server.

    :param reason: why it stays.
    :param passing: whether that may be over soon.
    """

    server: facts_lib.Server
    way: Way
    reason: str = ''
    passing: bool = False


class Order(enum.Enum):
    """Which server is asked for first."""

    SMALLEST = 'smallest'
    LARGEST = 'largest'
    ARRIVAL = 'arrival'


def judge(server: facts_lib.Server, skip_stopped: bool) -> Verdict:
    """Say how a server can leave.

    :param skip_stopped: whether one that is stopped stays.
    """
    if reason := _why_it_stays(server, skip_stopped):
        passing = bool(server.task) or server.status in _PASSING
        return Verdict(server, Way.STAY, reason, passing)
    stopped = server.status == STOPPED
    cold = stopped or TAG + 'cold' in server.tags
    return Verdict(server, Way.COLD if cold else Way.LIVE)


def _why_it_stays(server: facts_lib.Server, skip_stopped: bool) -> str:
    if TAG + 'skip' in server.tags:
        return f'is tagged {TAG}skip'
    if server.lock is not None:
        return f'is locked: {server.lock}' if server.lock else 'is locked'
    if server.task:
        return f'is busy: {server.task}'
    if server.status == STOPPED and skip_stopped:
        return 'is stopped, and those are skipped'
    if server.status in ('ACTIVE', 'PAUSED', STOPPED):
        return _no_cold_way(server)
    return _STAYS.get(server.status, f'is {server.status}')


def _no_cold_way(server: facts_lib.Server) -> str:
    if server.status == 'PAUSED' and TAG + 'cold' in server.tags:
        return f'is paused, and tagged {TAG}cold'
    return ''


def in_order(
    verdicts: Iterable[Verdict], order: Order = Order.SMALLEST
) -> list[Verdict]:
    """Return verdicts in the order in which their servers are asked for."""
    if order is Order.ARRIVAL:
        return sorted(
            verdicts, key=lambda v: (v.server.created, v.server.name)
        )
    sign = -1 if order is Order.LARGEST else 1
    return sorted(
        verdicts, key=lambda v: (sign * v.server.memory, v.server.name)
    )
