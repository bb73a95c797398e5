# SPDX-License-Identifier: Apache-2.0

"""Takes slots in Placement for what asks, and gives back what is not used.

One thread calls it, step by step, and nothing that others wait for is locked
meanwhile. It looks for room before it claims, asks for all gates of a
migration at once, and finds from facts what a life before has left.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import math
import random
import time
from typing import Protocol

from nova_throttle.admission import remote
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle import exception
from nova_throttle.placement import errors
from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import keeper as keeper_lib
from nova_throttle.placement import patience
from nova_throttle.placement import reader as reader_lib
from nova_throttle.placement import store as store_lib

Entry = keeper_lib.Entry
Gate = gate_lib.Gate
Wait = snapshot_lib.Wait
Reason = snapshot_lib.WaitReason
SHARED = keeper_lib.SHARED

# Seconds until Placement is asked again that did not answer.
AWAY = 2.0


class Throttle(Protocol):
    """The admission, as far as it is answered."""

    def grant(self, granted: remote.Granted) -> None: ...

    def answer(self, *answers: remote.Answer) -> None: ...


class Listener(Protocol):
    """Who is told what a broker does; it must return soon."""

    def away(self, error: exception.ThrottleError) -> None:
        """Placement does not answer any more."""

    def back(self) -> None:
        """Placement answers again."""

    def leaked(self, migration_uuid: str) -> None:
        """Slots of this host's were found that nobody uses."""

    def made_room(self, gates: Sequence[str]) -> None:
        """A slot was given back of gates that had none free."""


class Broker:
    """Arranges slots for the requests of one host.

    :param host: this host.
    :param connect: returns where the gates are.
    :param keeper: what the requests want.
    :param throttle: the admission.
    :param listener: who is told.
    :param starts_unreachable: tells whether what asks goes on without slots
        while Placement does not answer.
    :param clock: seconds, monotonic.
    :param uniform: a random number between two.
    """

    def __init__(
        self,
        host: str,
        connect: Callable[[], store_lib.Store],
        keeper: keeper_lib.Keeper,
        throttle: Throttle,
        listener: Listener,
        *,
        starts_unreachable: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._host = host
        self._keeper = keeper
        self._throttle = throttle
        self._listener = listener
        self._starts_unreachable = starts_unreachable
        self._clock = clock
        self._uniform = uniform
        self._reader = reader_lib.Reader(host, connect, keeper, clock)
        self._patience = patience.Patience(clock, uniform)
        self._hints: set[str] = set()
        self._seen: dict[Gate, tuple[str, ...]] = {}
        self._is_waived = False
        self._must_look = True
        self._is_away = False
        self._away_until = -math.inf

    def look(self) -> None:
        """Have the gates read again at the next step."""
        self._must_look = True

    def hint(self, gates: Iterable[str]) -> None:
        """Note that somebody gave a slot of gates back."""
        self._hints.update(gates)

    def step(self) -> float | None:
        """Do all that is to be done now.

        :returns: seconds until the next step, None if there is nothing to
            do until then.
        """
        if self._clock() >= self._away_until:
            try:
                self._do_all()
            except errors.PlacementAway as error:
                self._leave_it(error)
            else:
                self._note_back()
        if self._is_away:
            self._answer_without()
        return self._delay()

    def _do_all(self) -> None:
        if self._must_look:
            # Before it: another may be asked for meanwhile.
            self._must_look = False
            self._look()
        for migration_uuid in self._keeper.frees():
            self._free(migration_uuid)
        self._take_hints()
        if self._patience.is_due(self._keeper.refused()):
            self._poll()
        if not self._is_waived:
            for entry in self._keeper.asks():
                self._serve(entry)

    # Which gates there are

    def _look(self) -> None:
        has_gates = bool(self._reader.read_all())
        if self._is_waived and has_gates:
            self._throttle.answer(remote.Withdrawn(SHARED))
        elif not self._is_waived and not has_gates:
            self._throttle.answer(remote.Waived(SHARED, math.inf))
        self._is_waived = not has_gates
        if not has_gates:
            return
        for migration_uuid in self._reader.leaks():
            if self._keeper.free(migration_uuid):
                self._listener.leaked(migration_uuid)

    # One request after the other

    def _serve(self, entry: Entry) -> None:
        gates = self._reader.gates_of(entry.request)
        states = {gate: self._reader.state(gate) for gate in gates}
        # One without an inventory limits nothing.
        gates = tuple(gate for gate in gates if not states[gate].gone)
        if not gates:
            self._go_on(entry, claimed=False)
        elif waits := _waits(entry, states):
            self._refuse(entry, waits)
        elif self._keeper.begin(entry):
            self._claim(entry, gates)

    def _claim(self, entry: Entry, gates: tuple[Gate, ...]) -> None:
        try:
            claimed = self._reader.claim(entry.uuid, gates)
        except errors.PlacementAway:
            # It may have been done.
            self._keeper.free(entry.uuid)
            raise
        if claimed:
            self._go_on(entry, claimed=True)
            return
        # Others were faster, so that there may be room soon again; or a gate
        # is another now.
        self._must_look = True
        self._patience.hint()
        states = {gate: self._reader.state(gate) for gate in gates}
        self._refuse(entry, _waits(entry, states) or _full(states))

    def _go_on(self, entry: Entry, claimed: bool) -> None:
        if self._keeper.grant(entry, claimed):
            self._throttle.grant(remote.Granted(entry.uuid, SHARED))

    def _refuse(self, entry: Entry, waits: tuple[Wait, ...]) -> None:
        self._keeper.refuse(entry, waits, self._clock())
        closed = any(wait.reason is not Reason.GATE_FULL for wait in waits)
        self._throttle.answer(remote.Refused(entry.uuid, SHARED, closed))

    def _free(self, migration_uuid: str) -> None:
        full = self._reader.full_gates_of(migration_uuid)
        self._reader.free(migration_uuid)
        self._keeper.freed(migration_uuid)
        if full:
            self._listener.made_room([gate.name for gate in full])

    # Those that wait for room

    def _take_hints(self) -> None:
        hints, self._hints = self._hints, set()
        if hints and any(
            gate.name in hints
            for entry in self._keeper.refused()
            for gate in self._reader.known_gates_of(entry.request) or ()
        ):
            self._patience.hint()

    def _poll(self) -> None:
        """Look whether there is room for what stands first.

        Of those that need the same gates only the first asks: this is one
        question a gate, however many wait.
        """
        self._reader.forget_states()
        room: dict[Gate, int] = {}
        seen: dict[Gate, tuple[str, ...]] = {}
        for entry in self._keeper.refused():
            gates = self._reader.gates_of(entry.request)
            states = {gate: self._reader.state(gate) for gate in gates}
            for gate, state in states.items():
                room.setdefault(gate, state.room + state.gone)
                seen[gate] = state.owners
            if all(room[gate] > 0 for gate in gates):
                for gate in gates:
                    room[gate] -= 1
                self._reopen(entry)
            else:
                waits = _waits(entry, states) or _full(states)
                self._refuse(entry, waits)
        self._note_luck(seen)

    def _note_luck(self, seen: dict[Gate, tuple[str, ...]]) -> None:
        """Note whether others were faster since the last look.

        :param seen: the owners now, of each gate that is waited for.
        """
        if not self._keeper.refused():
            self._patience.win()
        elif any(
            self._seen.get(g, owners) != owners for g, owners in seen.items()
        ):
            self._patience.lose()
        self._seen = seen

    def _reopen(self, entry: Entry) -> None:
        self._keeper.reopen(entry)
        self._throttle.answer(remote.Room(entry.uuid, SHARED))

    # While Placement does not answer

    def _leave_it(self, error: errors.PlacementAway) -> None:
        self._must_look = True
        self._away_until = self._clock() + AWAY * self._uniform(0.5, 1.5)
        if not self._is_away:
            self._is_away = True
            self._listener.away(error)

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._listener.back()

    def _answer_without(self) -> None:
        if self._is_waived:
            return
        waiting = self._keeper.asks()
        if self._starts_unreachable():
            waiting += self._keeper.refused()
        for entry in waiting:
            gates = self._reader.known_gates_of(entry.request)
            if gates == () or self._starts_unreachable():
                self._go_on(entry, claimed=False)
            else:
                self._refuse(entry, _away(gates))

    def _delay(self) -> float | None:
        now = self._clock()
        if self._is_away:
            has_work = (
                self._must_look
                or self._keeper.frees()
                or self._keeper.refused()
            )
            return max(0.0, self._away_until - now) if has_work else None
        if self._keeper.frees() or self._must_look:
            return 0.0
        if not self._is_waived and self._keeper.asks():
            return 0.0
        return self._patience.delay(self._keeper.refused())


def _waits(
    entry: Entry, states: dict[Gate, gate_lib.State]
) -> tuple[Wait, ...]:
    """Say which gates have no slot for a request."""
    return tuple(
        _wait(gate, state, paused=state.paused)
        for gate, state in states.items()
        if not state.gone
        and state.room <= 0
        and entry.uuid not in state.owners
    )


def _full(states: dict[Gate, gate_lib.State]) -> tuple[Wait, ...]:
    return tuple(
        _wait(gate, state, paused=False) for gate, state in states.items()
    )


def _wait(gate: Gate, state: gate_lib.State, paused: bool) -> Wait:
    reason = Reason.GATE_PAUSED if paused else Reason.GATE_FULL
    return Wait(reason, gate.name, state.limit, state.owners)


def _away(gates: Iterable[Gate] | None) -> tuple[Wait, ...]:
    if not gates:
        return (Wait(Reason.AWAY),)
    return tuple(Wait(Reason.AWAY, gate.name) for gate in gates)
