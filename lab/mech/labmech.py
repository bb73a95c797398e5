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

"""An ml2 mechanism driver for a cloud without network agents.

It binds every port as a tap device, so that Nova makes, activates and deletes
port bindings as in a real cloud. Nothing is connected to anything.
"""

from typing import Any

from neutron.db.models import port_forwarding  # noqa: F401 refers to ports
from neutron_lib.plugins.ml2 import api
from sqlalchemy import orm


class LabMechanism(api.MechanismDriver):  # type: ignore[misc]
    """Binds every port to the first segment."""

    def initialize(self) -> None:
        """Let SQLAlchemy complete what refers to ports.

        Without it neutron 29 answers 500 to all requests for ports until
        somebody asks for networks.
        """
        orm.configure_mappers()

    @property
    def connectivity(self) -> str:
        """What a bound port gives; Nova does not look."""
        return 'l2'

    def bind_port(self, context: Any) -> None:
        """Bind a port."""
        segment = context.segments_to_bind[0]
        context.set_binding(
            segment[api.ID], 'tap', {'port_filter': False}, status='ACTIVE'
        )
