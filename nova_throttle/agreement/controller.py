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
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib
from nova_throttle.transfer import progress as progress_lib

Standstill = standstill.Standstill


class HostController(outgoing.OutgoingController):
    """Decide what starts on either side of this host.

    :param stages: see the controller.
    :param start: see the controller.
    :param source: the half of what goes out.
    :param tell: see the base.
    :param destination: the half of what comes in. It stands still until
        whoever knows the facts has counted what comes.
    :param progress: tells how far each transfer is, by migration UUID.
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
        others: Mapping[str, remote.Keeper] = types.MappingProxyType({}),
        seen: Callable[[], Mapping[str, snapshot_lib.GateState]] = dict,
    ) -> None:
        super().__init__(
            stages, start, source=source, tell=tell, others=others
        )
        self.destination = destination
        self._progress = progress
        self._seen = seen

    def resize(self, gate: str, limit: int) -> None:
        """Change a gate's limit, at once; see the controller."""
        if gate in self.destination.gates:
            self.destination.resize(gate, limit)
        else:
            super().resize(gate, limit)

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
        if name in self.destination.gates:
            return self.destination.state(name)
        return super().gate(name)

    def snapshot(self) -> snapshot_lib.Snapshot:
        """Return what is true at this instant, as a frozen value."""
        # One gate after the other: no lock is held around both sides.
        own = super().snapshot()
        gates = dict(own.gates)
        for name in self.destination.gates:
            gates[name] = self.destination.state(name)
        gates.update(self._seen())
        return dataclasses.replace(
            own,
            gates=types.MappingProxyType(gates),
            progress=types.MappingProxyType(dict(self._progress())),
        )

    def is_interrupted(self) -> bool:
        """Tell whether a caller may have interrupted a holder of a lock."""
        return super().is_interrupted() or self.destination.is_interrupted()
