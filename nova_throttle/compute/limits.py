# SPDX-License-Identifier: Apache-2.0

"""The options that are limits of this host's own gates."""

from oslo_log import log as logging

from nova_throttle import activation
from nova_throttle.agreement import controller
from nova_throttle.compute import gates

LOG = logging.getLogger(__name__)


def take_up(throttle: controller.HostController) -> None:
    """Give each gate the limit that the configuration has by now.

    A gate whose option can't be read keeps its limit.

    :param throttle: the admission controller of this host.
    """
    for gate, option in gates.OPTIONS.items():
        try:
            limit = option.read()
            if limit is None:
                throttle.find_out(gate)
            else:
                throttle.resize(gate, limit)
        except activation.InvalidOption as error:
            LOG.error('%s; gate %s keeps its limit', error, gate)
