# SPDX-License-Identifier: Apache-2.0

"""What a destination does when it is told that a guest has arrived.

It says that it is done only if nothing is left to do here: what it cannot do
now, the source is to ask for again.
"""

from collections.abc import Callable
import enum
from typing import Any

from nova_throttle.outcome import standing as standing_lib
from nova_throttle.outcome import verdict
from nova_throttle.outcome import words

# What the record of a migration says that is in the driver.
IN_DRIVER = ('running', 'running (post-copy)')

# A plain Nova at the source leaves it in ERROR, though it runs.
_RUNS = (words.ACTIVE, words.PAUSED, words.ERROR)


class Reception(enum.Enum):
    """What the message is answered with."""

    # The server is as Nova expects it.
    FINISH = 'finish'
    # It is at rest: it is made what Nova expects first.
    FINISH_LATE = 'finish late'
    # Nothing is left to do here.
    DONE = 'done'
    # It has moved on, or has another migration.
    OLD_NEWS = 'old news'
    # Somebody does something with it, it is not decided whose it is, or its
    # guest is not here.
    NOT_NOW = 'not now'


def receive(
    here: str,
    source: str,
    server: Any,
    comes: bool,
    look: Callable[[], verdict.Sight],
) -> Reception:
    """Tell what to do about a guest that has arrived here.

    The message does not say which migration it is about: it may be late, and
    the server be on its way here once more.

    :param here: this host.
    :param source: where the message says that it comes from.
    :param server: what the records say of it now.
    :param comes: whether its present migration leads here.
    :param look: looks for its guest on this host.
    """
    migrates = server.task_state == words.MIGRATING
    if not comes and (migrates or server.host != here):
        # Its source must not take for done what nobody has taken over.
        untaken = server.host == source != here
        return Reception.NOT_NOW if untaken else Reception.OLD_NEWS
    if not migrates and server.task_state is not None:
        return Reception.NOT_NOW
    if not migrates and server.host == here and server.vm_state not in _RUNS:
        return Reception.DONE
    if server.host != here and look() in verdict.NOT_HERE:
        return Reception.NOT_NOW
    return Reception.FINISH if migrates else Reception.FINISH_LATE


def takes_over(
    standing: standing_lib.Standing, look: Callable[[], verdict.Sight]
) -> bool:
    """Tell whether a destination finishes for a source that is dead.

    :param standing: whose the server is, by the records.
    :param look: looks for its guest on this host.
    """
    return (
        standing.is_ours
        and standing.migration.status in IN_DRIVER
        and standing.instance.task_state == words.MIGRATING
        and look() in verdict.IS_HERE
    )
