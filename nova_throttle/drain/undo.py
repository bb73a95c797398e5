# SPDX-License-Identifier: Apache-2.0

"""Which servers come back to a host whose drain is undone.

Those that the newest drain has moved, and nobody has moved again.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import plan


def returns(
    migrations: Iterable[facts_lib.Migration],
    find: Callable[[str], facts_lib.Server | None],
) -> Iterator[plan.Verdict]:
    """Say of each server that has left how it can come back.

    :param migrations: out of the host.
    :param find: returns a server as it is now; None if it is deleted.
    """
    went = {
        each.server: each.destination
        for each in history.last(migrations)
        if each.status in facts_lib.COMPLETED
        or each.status == facts_lib.UNCONFIRMED
    }
    for uuid, destination in went.items():
        server = find(uuid)
        if server is not None:
            yield _judge(server, destination)


def _judge(server: facts_lib.Server, destination: str) -> plan.Verdict:
    verdict = plan.judge(server, skip_stopped=False)
    if server.host != destination:
        reason = f'was moved on from {destination}'
    elif verdict.way is plan.Way.COLD:
        reason = 'its guest is not to be stopped for that'
        if server.status == plan.STOPPED:
            reason = 'is stopped'
    else:
        return verdict
    return dataclasses.replace(verdict, way=plan.Way.STAY, reason=reason)
