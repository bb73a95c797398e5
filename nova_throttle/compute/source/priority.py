# SPDX-License-Identifier: Apache-2.0

"""The priority that a live migration has when it is accepted.

Nothing of the request decides it, only what an operator has said of its host:
so whoever may ask for a live migration cannot raise its priority.
"""

from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import priority
from nova_throttle.compute import border

LOG = logging.getLogger(__name__)

Priority = priority.Priority


def of_host(context: border.Context, host: str) -> Priority:
    """Return the priority of what leaves a host now.

    :param host: this host. If its compute service is disabled, it is to be
        empty.
    """
    try:
        service = objects.Service.get_by_compute_host(context.elevated(), host)
    except Exception as error:
        LOG.warning(
            'Cannot ask whether host %(host)s is disabled; what leaves it '
            'has the priority normal: %(error)s',
            {'host': host, 'error': error},
        )
        return Priority.NORMAL
    return Priority.DRAIN if service.disabled else Priority.NORMAL
