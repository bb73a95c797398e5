# SPDX-License-Identifier: Apache-2.0

"""What has room starts, unless there is a reason to stand still.

What frees a slot hands it to the next request in the same step. Nobody is
called: each change returns what has to be done.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping

from nova_throttle.admission import effects as effects_lib
from nova_throttle.admission import members as members_lib
from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import stages as stages_lib
from nova_throttle.admission import standstill as standstill_lib
from nova_throttle.admission import waits

Effects = effects_lib.Effects
Standstill = standstill_lib.Standstill


class Handover:
    """Hand slots to what waits, as gates have room.

    Not thread-safe: the controller holds its lock around every call, and
    says what each means.

    :param stages: the limits of the gates of each stage, in their order.
    :param keepers: who arranges slots of gates kept elsewhere, by the name
        of the gate.
    :param patience: see the queue.
    :param clock: seconds, monotonic.
    :raises InvalidLimit: if a limit is negative.
    """

    def __init__(
        self,
        stages: Mapping[str, Mapping[str, int]],
        keepers: Mapping[str, remote.Keeper],
        patience: int,
        clock: Callable[[], float],
    ) -> None:
        self._keepers = keepers
        self._parties = tuple(dict.fromkeys(keepers.values()))
        self._clock = clock
        self.stages = stages_lib.Stages(stages, frozenset(keepers), patience)
        self.members = members_lib.Members(self.stages)
        self.standstill: frozenset[Standstill] = frozenset()

    def admit(self) -> Effects:
        """Make an owner of the next that can start, of one only."""
        grant = None
        while grant is None:
            found = self.stages.next(self._stands_still)
            if found is None:
                break
            grant = self._take(*found)
        return self._effects(grant)

    def answer(self, answers: Iterable[remote.Answer]) -> Effects:
        """Take up what is said of gates that are kept elsewhere."""
        for answer in answers:
            self.stages.answer(answer)
        return self.admit()

    def grant(self, granted: remote.Granted) -> Effects:
        """Start what has a slot elsewhere, keep that, or decline it."""
        start = None
        for index, waiting in self.stages.find(granted.migration_uuid):
            if granted.gate not in waiting.lacking:
                continue
            if self._stands_still(index):
                self.stages[index].decline(waiting)
            elif self.stages[index].grant(waiting, granted.gate):
                start = self._take(index, waiting)
            break
        return self._effects(start)

    def defer(
        self, migration_uuid: str, reason: snapshot_lib.WaitReason | None
    ) -> Effects:
        """Pass over what waits until it is told to go on."""
        for index, waiting in self.stages.find(migration_uuid):
            self.stages[index].defer(waiting, reason)
        return self.admit()

    def change(
        self, member: members_lib.Member, request: request_lib.Request
    ) -> Effects:
        """Give what waits another priority, or hold it, or release it."""
        self.members.change(member, request, self._stands_still)
        return self.admit()

    def resize(self, gate: str, limit: int) -> Effects:
        """Change the limit of a gate."""
        self.stages.of_gate(gate).gates[gate].resize(limit)
        return self.admit()

    def halt(self, reason: Standstill) -> Effects:
        """Let nothing start until a reason is taken."""
        self.standstill |= {reason}
        for index, stage in enumerate(self.stages):
            if self._stands_still(index):
                stage.retreat()
        return self._effects()

    def resume(self, reason: Standstill) -> Effects:
        """Take a reason for a standstill."""
        self.standstill -= {reason}
        return self.admit()

    def look(self) -> waits.Look:
        """Return what a snapshot is made of: references, and little else."""
        return waits.Look(
            gates=self.stages.states(),
            stages=[waits.look_at(stage) for stage in self.stages.seen],
            known={
                gate: known
                for party in self._parties
                for gate, known in party.known().items()
            },
            standstill=self.standstill,
            now=self._clock(),
        )

    def _stands_still(self, index: int) -> bool:
        return bool(standstill_lib.of_stage(self.standstill, index))

    def _take(
        self, index: int, waiting: queue.Waiting
    ) -> effects_lib.Grant | None:
        if not self.members.take(index, waiting):
            return None
        name = self.stages[index].name
        return effects_lib.Grant(waiting.request, name, waiting.ticket)

    def _effects(self, start: effects_lib.Grant | None = None) -> Effects:
        for index, stage in enumerate(self.stages):
            if not self._stands_still(index):
                stage.refresh()
        tell: tuple[str, ...] = ()
        if self._keepers:
            for want in self.stages.take_wants():
                self._keepers[want.gate.name].note(want)
            for party in self._parties:
                tell += tuple(party.due())
        ended = self.members.take_ended()
        if start is None and not ended and not tell:
            return effects_lib.NOTHING
        return Effects(start, ended, tell)
