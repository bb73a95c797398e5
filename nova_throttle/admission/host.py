# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The controller of one host: what goes out, and what comes in.

Every gate of the host is seen and changed here. Nothing starts on either
side once stopping has begun.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import types

from nova_throttle.admission import consent
from nova_throttle.admission import controller
from nova_throttle.admission import incoming as incoming_lib
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill

Standstill = standstill.Standstill


class HostController(controller.Controller):
    """Decide when each request of this host may start.

    :param gates: see the controller.
    :param start: see the controller.
    :param consents: see the controller.
    :param incoming: the gate of what comes to this host. It stands
        still until whoever knows the facts has counted what comes.
    """

    def __init__(
        self,
        gates: Mapping[str, int],
        start: Callable[[request_lib.Request], None],
        *,
        consents: consent.Consents,
        incoming: incoming_lib.Incoming,
    ) -> None:
        super().__init__(gates, start, consents=consents)
        self._incoming = incoming

    def resize(self, gate: str, limit: int) -> None:
        """Change a gate's limit, at once; see the controller."""
        if gate == incoming_lib.GATE:
            self._incoming.resize(limit)
        else:
            super().resize(gate, limit)

    def halt(self, reason: Standstill) -> None:
        """Start nothing on each side that a reason is about."""
        if reason in standstill.OUTGOING:
            super().halt(reason)
        if reason in standstill.INCOMING:
            self._incoming.halt(reason)

    def resume(self, reason: Standstill) -> None:
        """Take a reason on each side that it is about."""
        if reason in standstill.OUTGOING:
            super().resume(reason)
        if reason in standstill.INCOMING:
            self._incoming.resume(reason)

    def gate(self, name: str) -> snapshot_lib.GateState:
        """Return what is true of one gate; see the controller."""
        if name == incoming_lib.GATE:
            return self._incoming.state()
        return super().gate(name)

    def snapshot(self) -> snapshot_lib.Snapshot:
        """Return what is true at this instant, as a frozen value."""
        own = super().snapshot()
        gates = {**own.gates, incoming_lib.GATE: self._incoming.state()}
        return dataclasses.replace(own, gates=types.MappingProxyType(gates))
