# SPDX-License-Identifier: Apache-2.0

"""What a source does next with a migration that somebody else began.

What has arrived is finished while the server is its own or at rest on its
destination, and never undone; of a server that is anybody else's, only what
is the migration's own is given back.
"""

import enum

from nova_throttle import lifecycle
from nova_throttle.outcome import standing as standing_lib

State = lifecycle.State


class Course(enum.Enum):
    """What is next."""

    # All that Nova does once a guest has arrived, then CLOSE.
    FINISH = 'finish'
    # It has completed: what it still holds is given back.
    CLOSE = 'close'
    # It has not, and what it holds is given back.
    END = 'end'
    # The guest has to be looked for.
    LOOK = 'look'
    # What was prepared is undone; then it may be tried again.
    UNPREPARE = 'unprepare'


def of(state: State, standing: standing_lib.Standing, dest: str) -> Course:
    """Tell what is next, by the journal and the records.

    :param state: how far it had come, by the journal.
    :param dest: its destination.
    """
    in_driver = state in (State.TRANSFERRING, State.ARRIVED)
    if in_driver and standing.has_arrived(dest):
        return Course.FINISH if standing.rests_on(dest) else Course.CLOSE
    if state is State.ARRIVED:
        return Course.FINISH if standing.is_ours else Course.CLOSE
    if not standing.is_ours:
        return Course.END
    return Course.LOOK if state is State.TRANSFERRING else Course.UNPREPARE


def known_state(state: State, status: str | None) -> State:
    """Tell how far a migration has come that is in the journal.

    :param status: its final status, once that is decided.
    :returns: OVER once its server is the destination's, whatever is still to
        be given back.
    """
    return State.OVER if state is State.ARRIVED and status else state
