# SPDX-License-Identifier: Apache-2.0

"""Placement, asked with nova-compute's own credentials.

Each request ends, with an answer or without.
"""

from nova.scheduler.client import report

from nova_throttle.placement import errors
from nova_throttle.placement import store

# Seconds that Placement may take to answer, unless [placement] timeout says
# less.
TIMEOUT = 10.0


def connect() -> store.Store:
    """Return the gates of the cloud; nothing is asked yet.

    :raises PlacementAway: if [placement] of nova.conf can't be used.
    """
    try:
        client = report.SchedulerReportClient()
        session = client._client.session
    except Exception as error:
        # Its text may have a URL.
        reason = f'[placement] in nova.conf: {type(error).__name__}'
        raise errors.PlacementAway(reason=reason) from error
    session.timeout = min(session.timeout or TIMEOUT, TIMEOUT)
    return store.Store(client)
