# SPDX-License-Identifier: Apache-2.0

"""The slots of one stage, and who owns them.

An owner gives them back by its own name; gates kept elsewhere are told of
each that comes and goes.
"""

from collections.abc import Callable
from collections.abc import Mapping

from nova_throttle.admission import asking
from nova_throttle.admission import limiter
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib

Request = request_lib.Request
Standing = remote.Standing


class Slots:
    """Keep who owns the slots of one stage.

    Not thread-safe: the controller holds its lock around every call.

    :param name: of the stage.
    :param gates: the limit of each gate of this host by its name.
    :param is_open: whether any slot of it may be taken now.
    :raises InvalidLimit: if a limit is negative.
    """

    def __init__(
        self,
        name: str,
        gates: Mapping[str, int],
        is_open: Callable[[], bool],
    ) -> None:
        self.name = name
        self._is_open = is_open
        self.gates = {n: limiter.Limiter(n, s) for n, s in gates.items()}
        self.asking = asking.Asking()

    def room(self, gate: str) -> float:
        """Return how many owners a gate of this host has room for."""
        return self.gates[gate].room() if self._is_open() else 0

    def adopt(self, request: Request, needs: request_lib.Needs) -> None:
        """Make a request that is in progress an owner, beyond any limit."""
        for gate in needs.gates:
            self.gates[gate].adopt(request.migration_uuid)
        self.asking.say_all(request, needs, Standing.HOLDS)

    def note_end(self, request: Request, needs: request_lib.Needs) -> None:
        """Note that a request gives its slots back soon."""
        news = [
            self.gates[gate].note_end(request.migration_uuid)
            for gate in needs.gates
        ]
        if any(news):
            self.asking.say_all(request, needs, Standing.ENDS)

    def will_have_room(self) -> bool:
        """Tell whether each gate has a slot, or soon has one again."""
        return all(gate.soon() > 0 for gate in self.gates.values())

    def give_back(self, request: Request, needs: request_lib.Needs) -> None:
        """Take the slots of a request back."""
        for gate in needs.gates:
            self.gates[gate].release(request.migration_uuid)
        self.asking.say_all(request, needs, Standing.GONE)
