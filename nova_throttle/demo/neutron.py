# SPDX-License-Identifier: Apache-2.0

"""What the Neutron of Nova's own tests lacks."""

from typing import Any

import fixtures
from nova.tests.fixtures import neutron


class PortBindings(fixtures.MonkeyPatch):
    """Let Nova's stand-in for Neutron list the bindings of a port."""

    def __init__(self) -> None:
        place = f'{neutron.__name__}.NeutronFixture.list_port_bindings'
        super().__init__(place, _list)


def _list(cloud: Any, port_id: str) -> dict[str, Any]:
    return {'bindings': list(cloud._port_bindings[port_id].values())}
