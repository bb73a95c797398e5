# SPDX-License-Identifier: Apache-2.0

"""The stages of one host, in the order in which a request takes them."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping

from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import stage as stage_lib
from nova_throttle import exception


# The name of a stage that is not entered in its turn. What waits for the stage
# before it may wait for this one as well: it is in progress early then, while
# it goes on to wait. It gives its slot here back when it has the other.
DECK = 'on deck'


class Stages:
    """All stages of a host.

    Not thread-safe: the controller holds its lock around every call.

    :param stages: the limits of the gates of each, by name, in their order.
    :param remote_names: names of gates that are kept elsewhere.
    :param patience: see the queue.
    :raises InvalidLimit: if a limit is negative.
    """

    def __init__(
        self,
        stages: Mapping[str, Mapping[str, int]],
        remote_names: frozenset[str],
        patience: int,
    ) -> None:
        self._stages = [
            stage_lib.Stage(name, gates, patience)
            for name, gates in stages.items()
            if name != DECK
        ]
        self.seen = tuple(self._stages)
        self.last = len(self._stages) - 1
        self.deck = self.last + 1
        # Only who has all slots in its turn may keep others from theirs: so
        # nobody looks at the deck before all else.
        order = list(reversed(range(self.deck)))
        if DECK in stages:
            is_open = self._stages[self.last].will_have_room
            deck = stage_lib.Stage(DECK, stages[DECK], patience, is_open)
            self._stages.append(deck)
            order.append(self.deck)
        self._order = tuple((index, self._stages[index]) for index in order)
        self._remote_names = remote_names
        # Until when a gate is known to be kept by nobody.
        self._waived: dict[request_lib.RemoteGate, float] = {}

    def __iter__(self) -> Iterator[stage_lib.Stage]:
        return iter(self._stages)

    def __getitem__(self, index: int) -> stage_lib.Stage:
        return self._stages[index]

    def check(self, request: request_lib.Request) -> None:
        """See that all gates exist, each in the stage it is needed for.

        :raises UnknownGate: if one does not.
        """
        for index, needs in enumerate(request.needs):
            for gate in needs.gates:
                if gate not in self._stages[index].gates:
                    raise exception.UnknownGate(gate=gate)
            for elsewhere in needs.remote:
                if elsewhere.name not in self._remote_names:
                    raise exception.UnknownGate(gate=elsewhere.name)

    def of_gate(self, gate: str) -> stage_lib.Stage:
        """Return the stage that a gate of this host is of.

        :raises UnknownGate: if there is no such gate.
        """
        for stage in self.seen:
            if gate in stage.gates:
                return stage
        raise exception.UnknownGate(gate=gate)

    def state(self, name: str) -> snapshot_lib.GateState:
        """Return what is true of one gate.

        :raises UnknownGate: if there is no such gate.
        """
        gate = self.of_gate(name).gates[name]
        return snapshot_lib.GateState(name, gate.limit, gate.owners)

    def states(self) -> dict[str, snapshot_lib.GateState]:
        """Return what is true of each gate, by name; but for the deck's."""
        return {
            name: self.state(name)
            for stage in self.seen
            for name in stage.gates
        }

    def find(self, migration_uuid: str) -> Iterator[tuple[int, queue.Waiting]]:
        """Return what a request waits for: each with its stage."""
        for index, stage in enumerate(self._stages):
            waiting = stage.queue.get(migration_uuid)
            if waiting is not None:
                yield index, waiting

    def next(
        self, still: Callable[[int], bool]
    ) -> tuple[int, queue.Waiting] | None:
        """Return what can start now, the furthest on its way first.

        :param still: tells whether nothing enters a stage now.
        """
        for index, stage in self._order:
            waiting = None if still(index) else stage.next()
            if waiting is not None:
                return index, waiting
        return None

    def heads(self) -> list[queue.Waiting]:
        """Return what may be the next to enter the first stage."""
        return self._stages[0].queue.heads()

    def answer(self, answer: remote.Answer) -> None:
        """Take up what is said of a gate that is kept elsewhere."""
        if isinstance(answer, remote.Waived):
            self._waived[answer.gate] = answer.until
        elif isinstance(answer, remote.Withdrawn):
            self._waived.pop(answer.gate, None)
        for stage in self._stages:
            stage.answer(answer)

    def waived(
        self, needs: request_lib.Needs, now: float
    ) -> frozenset[request_lib.RemoteGate]:
        """Return the gates of some needs that nobody keeps."""
        return frozenset(
            gate
            for gate in needs.remote
            if now < self._waived.get(gate, float('-inf'))
        )

    def take_wants(self) -> list[remote.Want]:
        """Return what has changed for gates kept elsewhere, each once."""
        return [w for s in self._stages for w in s.asking.take_wants()]
