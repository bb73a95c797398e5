# SPDX-License-Identifier: Apache-2.0

"""What a host answers over the message bus."""

from collections.abc import Callable
import functools
from typing import Any

from nova_throttle.compute import assembly
from nova_throttle.compute import border
from nova_throttle.compute import monitoring
from nova_throttle.compute import sight
from nova_throttle.compute.source import entries
from nova_throttle import endpoint
from nova_throttle import queue_endpoint
from nova_throttle import rpcbase


def endpoints(
    manager: border.Manager,
    parts: assembly.Assembly,
    metrics: monitoring.Monitoring,
) -> tuple[rpcbase.Endpoint, ...]:
    """Return the endpoints of a host.

    :param manager: its compute manager.
    :param parts: its parts.
    :param metrics: what tells its metrics.
    """
    shown: dict[str, Callable[[], Any]] = {
        'migrations': functools.partial(entries.views, parts.journal),
        'pause': lambda: parts.journal.pause,
    }
    see = functools.partial(sight.of_server, manager)
    return (
        endpoint.ThrottleEndpoint(
            manager, parts.negotiation, see, metrics.text, **shown
        ),
        queue_endpoint.QueueEndpoint(manager, parts.control, **shown),
    )
