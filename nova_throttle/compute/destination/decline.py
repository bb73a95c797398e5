# SPDX-License-Identifier: Apache-2.0

"""When a destination declines, so that the scheduler chooses another host.

It does so before anything is held for the request: Nova's own check of a
destination has a lawful no, after which the next host is tried.
"""

import nova.conf
from nova import exception as nova_exception
import oslo_messaging as messaging

from nova_throttle.admission import controller
from nova_throttle.agreement import messages
from nova_throttle.compute import border
from nova_throttle import exception

CONF = nova.conf.CONF


def check(
    host: str,
    throttle: controller.Controller,
    migration: border.MigrationRecord,
) -> None:
    """Decline a request that would wait behind too many.

    :param host: this host.
    :param throttle: its controller.
    :param migration: the record; its destination is set already if the
        request names its host, and None comes from an old conductor.
    :raises ExpectedException: with Nova's MigrationPreCheckError, which the
        conductor gets without a traceback in our log.
    """
    # A request for this very host has no next choice: declined, it fails.
    longest = CONF.nova_throttle.max_incoming_queue
    if longest is None or migration is None or migration.dest_compute:
        return
    gate = throttle.gate(messages.DESTINATION)
    taken = len(gate.owners) + len(gate.offered)
    if not gate.limit or taken < gate.limit or len(gate.waiting) < longest:
        return
    reason = exception.IncomingQueueFull(
        waiting=len(gate.waiting), host=host, limit=gate.limit
    )
    # The conductor tries the next host for this class only, not for one
    # derived from it, which it does not know.
    try:
        raise nova_exception.MigrationPreCheckError(reason=str(reason))
    except nova_exception.MigrationPreCheckError as error:
        raise messaging.ExpectedException() from error
