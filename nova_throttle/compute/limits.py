# SPDX-License-Identifier: Apache-2.0

"""The options that are limits of this host's own gates."""

import nova.conf
from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.compute import assembly
from nova_throttle import conf as throttle_conf
from nova_throttle import exception

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# For each gate the name of the option, and its group.
_OPTIONS: dict[str, tuple[str, str | None]] = {
    assembly.SOURCE: ('max_concurrent_live_migrations', None),
    assembly.DESTINATION: ('max_incoming_live_migrations', 'nova_throttle'),
}


def take_up(throttle: controller.Controller) -> None:
    """Give each gate the limit that the configuration has by now.

    A gate whose option can't be read keeps its limit.

    :param throttle: the admission controller of this host.
    """
    for gate, (name, group) in _OPTIONS.items():
        try:
            throttle.resize(gate, throttle_conf.read(CONF, name, group))
        except exception.InvalidOption as error:
            LOG.error('%s; gate %s keeps its limit', error, gate)
