# SPDX-License-Identifier: Apache-2.0

"""The controller of one host: what goes out, and what comes in.

Every gate of the host is seen and changed here. Nothing starts on either
side once stopping has begun.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import types

from nova_throttle.admission import effects
from nova_throttle.admission import remote
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.agreement import destination as destination_lib
from nova_throttle.agreement import messages
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib
from nova_throttle import exception
from nova_throttle.transfer import link as link_lib
from nova_throttle.transfer import progress as progress_lib

Standstill = standstill.Standstill

_SAID = {
    link_lib.Place.DECK: snapshot_lib.WaitReason.ON_DECK,
    link_lib.Place.ASIDE: snapshot_lib.WaitReason.ASIDE,
}


class HostController(outgoing.OutgoingController):
    """Decide what starts on either side of this host.

    :param stages: see the controller.
    :param start: see the controller.
    :param source: the half of what goes out.
    :param tell: see the base.
    :param destination: the half of what comes in. It stands still until
        whoever knows the facts has counted what comes.
    :param progress: tells how far each transfer is, by migration UUID.
    :param slow: tells where those are that go slowly, by migration UUID.
    :param others: who else keeps gates, by their name.
    :param seen: returns what is known of gates that no host keeps.
    """

    def __init__(
        self,
        stages: Mapping[str, Mapping[str, int]],
        start: Callable[[effects.Grant], None],
        *,
        source: source_lib.Source,
        tell: Callable[[str], None],
        destination: destination_lib.Destination,
        progress: Callable[[], Mapping[str, progress_lib.Progress]] = dict,
        slow: Callable[[], Mapping[str, link_lib.Place]] = dict,
        others: Mapping[str, remote.Keeper] = types.MappingProxyType({}),
        seen: Callable[[], Mapping[str, snapshot_lib.GateState]] = dict,
    ) -> None:
        super().__init__(
            stages, start, source=source, tell=tell, others=others
        )
        self.destination = destination
        self._progress = progress
        self._slow = slow
        self._seen = seen
        last = self._admission.stages[self._admission.stages.last]
        self._links = (*last.gates, messages.TRANSFER_IN)
        # Gates whose limit is found out.
        self._automatic: frozenset[str] = frozenset()

    def resize(self, gate: str, limit: int) -> None:
        """Change a gate's limit, at once; see the controller.

        From now on it is not found out any more.
        """
        if gate in self._incoming:
            self.destination.resize(gate, limit)
            if gate == messages.TRANSFER_IN:
                self.destination.follow_sources(False)
        elif gate in self._links:
            self.resize_link(gate, limit)
        else:
            super().resize(gate, limit)
        self._automatic -= {gate}

    def find_out(self, gate: str) -> None:
        """Have a gate's limit be what is found to be right; from 1 on.

        That of what comes is what its sources have found for their links;
        that of what leaves is told to resize_link() by who measures it.

        :raises UnknownGate: if there is no such gate.
        :raises InvalidLimit: if its limit cannot be found out.
        """
        if gate not in self._links:
            # Is there one at all?
            self.gate(gate)
            raise exception.InvalidLimit(gate=gate, limit='auto')
        if gate in self._automatic:
            return
        self._automatic |= {gate}
        if gate == messages.TRANSFER_IN:
            self.destination.follow_sources(True)
        else:
            self.resize_link(gate, 1)

    def is_automatic(self, gate: str) -> bool:
        """Tell whether a gate's limit is found out."""
        return gate in self._automatic

    @property
    def _incoming(self) -> tuple[str, ...]:
        """The gates of what comes, as far as anybody has to know them."""
        gates = self.destination.gates
        return tuple(gate for gate in gates if gate != messages.DECK_IN)

    def halt(self, reason: Standstill) -> None:
        """Start nothing on each side that a reason is about."""
        # Some reasons are about one side, such as that what comes in has to
        # be counted first.
        if reason in standstill.OUTGOING:
            super().halt(reason)
        if reason in standstill.INCOMING:
            self.destination.halt(reason)

    def resume(self, reason: Standstill) -> None:
        """Take a reason on each side that it is about."""
        if reason in standstill.OUTGOING:
            super().resume(reason)
        if reason in standstill.INCOMING:
            self.destination.resume(reason)

    def gate(self, name: str) -> snapshot_lib.GateState:
        """Return what is true of one gate; see the controller."""
        if name in self._incoming:
            return self._marked(self.destination.state(name))
        return self._marked(super().gate(name))

    def snapshot(self) -> snapshot_lib.Snapshot:
        """Return what is true at this instant, as a frozen value."""
        # One gate after the other: no lock is held around both sides.
        own = super().snapshot()
        gates = {gate.name: self._marked(gate) for gate in own.gates.values()}
        for name in self._incoming:
            gates[name] = self._marked(self.destination.state(name))
        gates.update(self._seen())
        return dataclasses.replace(
            own,
            gates=types.MappingProxyType(gates),
            queue=_with_places(own.queue, self._slow()),
            progress=types.MappingProxyType(dict(self._progress())),
        )

    def is_interrupted(self) -> bool:
        """Tell whether a caller may have interrupted a holder of a lock."""
        return super().is_interrupted() or self.destination.is_interrupted()

    def _marked(self, gate: snapshot_lib.GateState) -> snapshot_lib.GateState:
        automatic = gate.name in self._automatic
        return dataclasses.replace(gate, automatic=automatic)


def _with_places(
    queue: tuple[snapshot_lib.QueueEntry, ...],
    places: Mapping[str, link_lib.Place],
) -> tuple[snapshot_lib.QueueEntry, ...]:
    """Say of those that move already, slowly, why they do."""
    if not places:
        return queue
    return tuple(
        dataclasses.replace(
            entry,
            waits_for=(
                snapshot_lib.Wait(_SAID[places[entry.migration_uuid]]),
                *entry.waits_for,
            ),
        )
        if entry.migration_uuid in places
        else entry
        for entry in queue
    )
