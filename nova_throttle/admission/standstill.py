# SPDX-License-Identifier: Apache-2.0

"""Why a host starts nothing: a set of reasons.

Each reason has one owner, who puts it and takes it. Taking one never undoes
another: what was stopping before a pause is stopping after it.
"""

import enum


class Standstill(str, enum.Enum):
    """A reason to start nothing: a closed set."""

    # The queue of before the restart is not restored yet.
    STARTING = 'starting'
    # What comes to this host is not known yet.
    COUNTING = 'counting'
    # An operator wants nothing to leave; what is in progress goes on.
    PAUSED = 'paused'
    # The service stops: nothing is accepted either.
    STOPPING = 'stopping'


# What keeps requests from leaving this host, and from coming to it.
OUTGOING = frozenset(Standstill) - {Standstill.COUNTING}
INCOMING = frozenset({Standstill.COUNTING, Standstill.STOPPING})


def of_stage(
    reasons: frozenset[Standstill], index: int
) -> frozenset[Standstill]:
    """Return why nothing enters a stage.

    :param reasons: all that there are.
    :param index: of the stage; what waits for another than the first is in
        progress.
    """
    return reasons - {Standstill.PAUSED} if index else reasons
