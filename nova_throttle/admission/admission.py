# SPDX-License-Identifier: Apache-2.0

"""The way of a request through the stages.

It gets all slots of a stage at once or none, and takes the stages in their
order, each of them given back on its own.
"""

from nova_throttle.admission import handover
from nova_throttle.admission import members as members_lib
from nova_throttle.admission import queue
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle import exception

Effects = handover.Effects
Member = members_lib.Member
Request = request_lib.Request
Standstill = handover.Standstill
Ticket = request_lib.Ticket


class Admission(handover.Handover):
    """Take each request from its arrival to its end."""

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
