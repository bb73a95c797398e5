# SPDX-License-Identifier: Apache-2.0

"""The states of a live migration at its source, and the ways between them.

Memory, journal, log and commands use these states and no others. Whether a
migration is over, or still has its server, follows from its state alone.
"""

from collections.abc import Mapping
import dataclasses
import enum

from nova_throttle import exception


class State(str, enum.Enum):
    """How far a live migration has come."""

    # It waits for its slots.
    QUEUED = 'queued'
    # It has them; the destination may have begun to prepare.
    PREPARING = 'preparing'
    # The destination has prepared: it waits for the link.
    PREPARED = 'prepared'
    # It is in the driver.
    TRANSFERRING = 'transferring'
    # The guest runs on the destination: whatever is left is done until it
    # succeeds.
    ARRIVED = 'arrived'
    # The guest stays: whatever was done for the migration is undone.
    ROLLING_BACK = 'rolling back'
    OVER = 'over'


@dataclasses.dataclass(frozen=True)
class View:
    """What can be seen of a live migration that is not over.

    :param migration_uuid: which one.
    :param instance_uuid: the server.
    :param destination: the destination host.
    :param state: how far it has come.
    :param problem: why it is not over; empty if nothing is wrong.
    """

    migration_uuid: str
    instance_uuid: str
    destination: str
    state: State
    problem: str = ''


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PREPARING, State.ROLLING_BACK, State.OVER}),
    # Back to the queue: a fault that may pass, or a restart.
    State.PREPARING: frozenset(
        {State.QUEUED, State.PREPARED, State.ROLLING_BACK, State.OVER}
    ),
    State.PREPARED: frozenset(
        {State.QUEUED, State.TRANSFERRING, State.ROLLING_BACK, State.OVER}
    ),
    State.TRANSFERRING: frozenset(
        {State.ARRIVED, State.ROLLING_BACK, State.OVER}
    ),
    State.ARRIVED: frozenset({State.OVER}),
    State.ROLLING_BACK: frozenset({State.OVER}),
    State.OVER: frozenset(),
}

# The server is this migration's, and no other may begin.
IN_HAND = frozenset(
    {State.PREPARING, State.PREPARED, State.TRANSFERRING, State.ARRIVED}
)

# It only gives back what it holds: its server may have another migration.
LEAVING = frozenset({State.ROLLING_BACK, State.OVER})


def check(before: State, after: State) -> None:
    """Refuse a way between two states that there is not.

    :raises IllegalTransition: if there is none.
    """
    if after not in TRANSITIONS[before]:
        raise exception.IllegalTransition(
            before=before.value, after=after.value
        )
