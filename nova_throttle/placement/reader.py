# SPDX-License-Identifier: Apache-2.0

"""What is known of the gates in Placement, no older than it may be.

What this host has changed itself is in it at once.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.placement import gate as gate_lib
from nova_throttle.placement import keeper as keeper_lib
from nova_throttle.placement import store as store_lib

Gate = gate_lib.Gate
State = gate_lib.State

# Seconds for which what was read of the owners of a gate is taken for true,
# and of its limit.
FRESH = 1.0
FRESH_LIMIT = 10.0


class Reader:
    """The gates of a cloud, as one host knows them.

    :param host: this host.
    :param connect: returns where the gates are.
    :param keeper: where what was read is shown.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        host: str,
        connect: Callable[[], store_lib.Store],
        keeper: keeper_lib.Keeper,
        clock: Callable[[], float],
    ) -> None:
        self._host = host
        self._connect = connect
        self._keeper = keeper
        self._clock = clock
        self._connected: store_lib.Store | None = None
        # None until they were read.
        self._gates: tuple[Gate, ...] | None = None
        self._states: dict[Gate, tuple[float, State]] = {}
        # When the limit of each gate was read.
        self._limits_at: dict[Gate, float] = {}
        # What this host has claimed in this life.
        self._held: dict[str, tuple[Gate, ...]] = {}
        # Of owners of slots, which never changes.
        self._hosts: dict[str, str | None] = {}

    @property
    def _store(self) -> store_lib.Store:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def read_all(self) -> tuple[Gate, ...]:
        """Read which gates there are, and those that concern this host."""
        gates = self._store.gates()
        self._states = {}
        self._limits_at = {}
        for gate in gates:
            if gate.concerns(self._host):
                self._read(gate)
        self._gates = gates
        self._publish()
        return gates

    def known_gates_of(
        self, request: request_lib.Request
    ) -> tuple[Gate, ...] | None:
        """Return the gates that a request needs; None if nobody knows."""
        if self._gates is None:
            return None
        return tuple(
            gate
            for gate in self._gates
            if gate.concerns(self._host, request.destination)
        )

    def gates_of(self, request: request_lib.Request) -> tuple[Gate, ...]:
        """Return the gates that a request needs."""
        found = self.known_gates_of(request)
        if found is None:
            self.read_all()
            found = self.known_gates_of(request)
        return found or ()

    def state(self, gate: Gate) -> State:
        """Return what is true of a gate, or was a moment ago."""
        at, state = self._states.get(gate, (None, State()))
        if at is None or self._clock() - at > FRESH:
            state = self._read(gate)
            self._publish()
        return state

    def forget_states(self) -> None:
        """Have the state of each gate read again."""
        self._states = {
            gate: (float('-inf'), state)
            for gate, (_, state) in self._states.items()
        }

    def claim(self, migration_uuid: str, gates: tuple[Gate, ...]) -> bool:
        """Take a slot of each of some gates for a migration."""
        done = self._store.claim(migration_uuid, self._host, gates)
        if done:
            self._held[migration_uuid] = gates
            self._change(migration_uuid, gates, has=True)
        else:
            self.forget_states()
            self._limits_at = {}
        return done

    def full_gates_of(self, migration_uuid: str) -> list[Gate]:
        """Return gates without a free slot that a migration has one of."""
        gates = self._held.get(migration_uuid)
        if gates is None:
            # Of a life before: whatever it may have.
            gates = tuple(self._states)
        states = {gate: self.state(gate) for gate in gates}
        return [
            gate
            for gate, state in states.items()
            if migration_uuid in state.owners and state.room <= 0
        ]

    def free(self, migration_uuid: str) -> None:
        """Give back all slots of a migration."""
        self._store.free(migration_uuid)
        self._held.pop(migration_uuid, None)
        self._change(migration_uuid, tuple(self._states), has=False)

    def leaks(self) -> Iterator[str]:
        """Find slots of this host's that no migration uses."""
        expected = self._keeper.claimed()
        held = [self._held.get(uuid) for uuid in expected]
        count = self._store.slots_of(self._host)
        if None not in held and count == sum(len(g or ()) for g in held):
            return
        present = {
            owner
            for gate in self._gates or ()
            for owner in self._store.state(gate).owners
        }
        self._hosts = {o: h for o, h in self._hosts.items() if o in present}
        for owner in sorted(present - expected.keys()):
            if owner not in self._hosts:
                self._hosts[owner] = self._store.host_of(owner)
            if self._hosts[owner] == self._host:
                yield owner

    def _read(self, gate: Gate) -> State:
        now = self._clock()
        if now - self._limits_at.get(gate, float('-inf')) > FRESH_LIMIT:
            state = self._store.state(gate)
            self._limits_at[gate] = now
        else:
            owners = self._store.owners(gate)
            state = dataclasses.replace(self._states[gate][1], owners=owners)
        self._states[gate] = now, state
        return state

    def _change(
        self, migration_uuid: str, gates: tuple[Gate, ...], has: bool
    ) -> None:
        for gate in gates:
            at, state = self._states.get(gate, (float('-inf'), State()))
            owners = set(state.owners) - {migration_uuid}
            if has:
                owners.add(migration_uuid)
            state = dataclasses.replace(state, owners=tuple(sorted(owners)))
            self._states[gate] = at, state
        self._publish()

    def _publish(self) -> None:
        self._keeper.publish(
            snapshot_lib.GateState(gate.name, state.limit, state.owners)
            for gate, (_, state) in self._states.items()
            if not state.gone
        )
