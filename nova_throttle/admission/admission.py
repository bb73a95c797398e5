# SPDX-License-Identifier: Apache-2.0

"""Requests meet gates.

A request gets all slots of a stage at once or none, and the stages in their
order; what frees a slot hands it to the next request in the same step; while
there is a reason to stand still, nothing starts. Nobody is called: each
change returns what has to be done.
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
from nova_throttle import exception

Effects = effects_lib.Effects
Member = members_lib.Member
Request = request_lib.Request
Standstill = standstill_lib.Standstill
Ticket = request_lib.Ticket


class Admission:
    """Decide when each request may start.

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

    # From the request to its end

    def submit(
        self, request: Request, reason: snapshot_lib.WaitReason | None
    ) -> Effects:
        """Accept a request."""
        if Standstill.STOPPING in self.standstill:
            raise exception.AdmissionClosed(
                migration_uuid=request.migration_uuid
            )
        self.members.check(request)
        return self._enter(Member(request), 0, request.ticket, deferred=reason)

    def resubmit(
        self, request: Request, reason: snapshot_lib.WaitReason | None
    ) -> Effects:
        """Put a request that was accepted before where it stood."""
        self.members.check(request, again=True)
        before = self.members.get(request.migration_uuid)
        member = Member(request)
        if before is not None:
            # One that came back and was admitted again stood there too.
            member.stood = before.stood
            self.members.end(before, None)
        return self._enter(member, 0, request.ticket, True, reason)

    def adopt(self, request: Request, stages: int) -> Effects:
        """Note what is in progress already."""
        self.members.check(request)
        self.members.adopt(request, stages)
        return self._effects()

    def advance(
        self, migration_uuid: str, ticket: Ticket, early: bool
    ) -> Effects:
        """Have a request wait for its next stage, and for the deck."""
        member = self.members.get(migration_uuid)
        if member is None or not member.owned or member.waits:
            raise exception.NotInProgress(migration_uuid=migration_uuid)
        index = max(member.owned) + 1
        if index >= min(len(member.request.needs), self.stages.deck):
            raise exception.NoFurtherStage(migration_uuid=migration_uuid)
        if early and not ticket.cancelled():
            self._wait(member, index, ticket)
            index = self.stages.deck
        return self._enter(member, index, ticket)

    def step_aside(self, migration_uuid: str, ticket: Ticket) -> Effects:
        """Have a request give its last stage to others, and wait again."""
        member = self.members.get(migration_uuid)
        last = self.stages.last
        if member is None or last not in member.owned:
            raise exception.NotInProgress(migration_uuid=migration_uuid)
        self.members.give_back(member, last)
        if not self._stands_still(last):
            # Those that waited ask for its slots elsewhere before it does.
            self.stages[last].refresh()
        self.members.go_behind_all(member, last, ticket, self._clock())
        return self._enter(member, last, ticket)

    def note_end(self, migration_uuid: str) -> Effects:
        """Note that a request gives its last stage back soon."""
        member = self.members.get(migration_uuid)
        last = self.stages.last
        if member is not None and last in member.owned:
            needs = member.request.needs[last]
            self.stages[last].note_end(member.request, needs)
        return self.admit()

    def release(
        self,
        migration_uuid: str,
        stage: str,
        ticket: Ticket | None = None,
        error: BaseException | None = None,
    ) -> Effects:
        """Take the slots of one stage back."""
        member = self.members.get(migration_uuid)
        for index, owned in list(member.owned.items()) if member else ():
            is_meant = ticket is None or ticket is owned
            if member and self.stages[index].name == stage and is_meant:
                self.members.give_back(member, index, error)
        return self.admit()

    def leave(self, migration_uuid: str) -> Effects:
        """Take the slots of the last stage back, and what it waits for."""
        member = self.members.get(migration_uuid)
        # What waits for the first stage owns nothing.
        if member is not None and member.owned:
            self.members.give_up(member)
            for index in (self.stages.last, self.stages.deck):
                if index in member.owned:
                    self.members.give_back(member, index)
        return self.admit()

    def finish(
        self, migration_uuid: str, error: BaseException | None
    ) -> Effects:
        """Take all slots back."""
        member = self.members.get(migration_uuid)
        if member is not None and member.owned:
            self.members.end(member, error)
        return self.admit()

    def forget(self, migration_uuid: str, ticket: Ticket) -> Effects:
        """Take out what waits with a ticket that was cancelled."""
        member = self.members.get(migration_uuid)
        # Not by name: it may have come again, in another request.
        waits = member.waits.values() if member else ()
        if member and any(waiting.ticket is ticket for waiting in waits):
            self.members.leave(member)
            # Who waits for a set of futures is woken by this alone.
            ticket.set_running_or_notify_cancel()
        return self.admit()

    def admit(self) -> Effects:
        """Make an owner of the next that can start, of one only."""
        grant = None
        while grant is None:
            found = self.stages.next(self._stands_still)
            if found is None:
                break
            grant = self._take(*found)
        return self._effects(grant)

    # Gates, and whether anything starts

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

    def change(self, member: Member, request: Request) -> Effects:
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

    def _enter(
        self,
        member: Member,
        index: int,
        ticket: Ticket,
        first: bool = False,
        deferred: snapshot_lib.WaitReason | None = None,
    ) -> Effects:
        if ticket.cancelled():
            request_lib.wake_waiters(ticket)
            # What it owned before may be another's now.
            return self.admit()
        waiting = self._wait(member, index, ticket, first)
        if deferred:
            self.stages[index].defer(waiting, deferred)
        return self.admit()

    def _wait(
        self, member: Member, index: int, ticket: Ticket, first: bool = False
    ) -> queue.Waiting:
        now = self._clock()
        waiting = self.members.enter(member, index, ticket, now, first)
        waived = self.stages.waived(waiting.needs, now)
        still = self._stands_still(index)
        self.stages[index].enter(waiting, waived, still)
        return waiting

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
