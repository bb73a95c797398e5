# SPDX-License-Identifier: Apache-2.0

"""How long a request keeps the worker of the RPC server.

The time of the handler ``live_migration`` as the RPC server calls it, while
another migration is in progress, so that each request is queued.
"""

from nova_throttle.tests.bench import cloud as cloud_lib
from nova_throttle.tests.bench import figures

# Not counted: what is slow only once.
WARM_UP = 20


def measure(cloud: cloud_lib.Cloud, count: int) -> figures.Figures:
    """Return the handler's time in milliseconds; fill the queue.

    :param cloud: a cloud whose queue has a migration in progress.
    :param count: requests to send.
    """
    requests = [cloud.request() for _ in range(WARM_UP + count)]
    with cloud.timed() as taken:
        for request in requests:
            cloud.ask(request)
    return figures.percentiles(
        'handler', [seconds * 1e3 for seconds in taken[WARM_UP:]]
    )
