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


class HostController(controller.Controller):
    """Decide when each request of this host may start.

    :param gates: see the controller.
    :param start: see the controller.
    :param consents: see the controller.
    :param incoming: the gate of what comes to this host. It is held until
        whoever knows the facts lets it proceed.
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

    def close(self) -> None:
        """Start nothing and accept nothing from now on, on either side."""
        super().close()
        self._incoming.close()

    def hold(self) -> None:
        """Accept but start nothing until told to, on either side."""
        super().hold()
        self._incoming.hold()

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
