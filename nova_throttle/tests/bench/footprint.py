# SPDX-License-Identifier: Apache-2.0

"""What a queue costs that only waits: threads, memory, and to look at it.

The RPC arguments exist before, as they would anyway, and nothing but the
compute service is counted: records are not saved, events are not sent.
"""

from collections.abc import Iterator
import contextlib
import gc
import logging
import statistics
import sys
import threading
import time
import tracemalloc
from typing import Any
from unittest import mock

from nova import context as nova_context
from nova import objects

from nova_throttle.tests.bench import cloud as cloud_lib
from nova_throttle.tests.bench import figures

# Not counted: what is allocated only once.
WARM_UP = 50
# How often the metrics are read to know what that costs, and seconds between
# two scrapes of a Prometheus that is in a hurry.
SCRAPES = 15
INTERVAL = 15
# The id of the first record, which is not in the database.
FIRST = 1_000_000


def measure(cloud: cloud_lib.Cloud, count: int) -> figures.Figures:
    """Return what queued requests add.

    :param count: requests to queue.
    """
    # Beyond those of the records that there are.
    numbers = range(FIRST, FIRST + WARM_UP + count)
    requests = [_request(number) for number in numbers]
    with cloud.queue(cloud_lib.Stage()), _alone():
        for request in requests[:WARM_UP]:
            cloud.manager.live_migration(**request)
        cloud.settle()
        threads = _threads()
        size = _allocated(cloud, requests[WARM_UP:])
        added = _threads() - threads
        load = _scrape_load(cloud)
        _cancel(cloud)
    return {
        'footprint.threads': added,
        'footprint.bytes': size / count,
        'footprint.scrape': load,
    }


def _scrape_load(cloud: cloud_lib.Cloud) -> float:
    """Return the part of a CPU, in %, that it costs to be scraped."""
    monitoring = getattr(cloud.manager, '_monitoring', None)
    if monitoring is None:
        return 0.0
    seconds = []
    for _ in range(SCRAPES):
        start = time.process_time()
        monitoring.text()
        seconds.append(time.process_time() - start)
    return 100 * statistics.median(seconds) / INTERVAL


def _allocated(cloud: cloud_lib.Cloud, requests: list[dict[str, Any]]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        for request in requests:
            cloud.manager.live_migration(**request)
        cloud.settle()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _cancel(cloud: cloud_lib.Cloud) -> None:
    waiting = cloud.manager._waiting_live_migrations
    for _, ticket in list(waiting.values()):
        ticket.cancel()
    waiting.clear()


def _request(number: int) -> dict[str, Any]:
    context = nova_context.RequestContext('user', 'project', is_admin=True)
    arguments = cloud_lib.make_arguments(context)
    arguments['instance'].obj_reset_changes()
    arguments['migration'].id = number
    arguments['migration'].obj_reset_changes()
    return {'context': context, **arguments}


def _threads() -> int:
    """Count threads, and green ones where there are any."""
    gc.collect()
    library = sys.modules.get('greenlet')
    if library is None:
        return threading.active_count()
    green = (o for o in gc.get_objects() if isinstance(o, library.greenlet))
    return threading.active_count() + sum(not o.dead for o in green)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Leave out what is outside of the compute service."""

    def save(migration: Any) -> None:
        migration.obj_reset_changes()

    event = objects.InstanceActionEvent
    logging.disable(logging.CRITICAL)
    with contextlib.ExitStack() as patches:
        patches.callback(logging.disable, logging.NOTSET)
        for owner, name, stub in (
            (objects.Migration, 'save', save),
            (event, 'event_start', _nothing),
            (event, 'event_finish_with_failure', _nothing),
        ):
            patches.enter_context(mock.patch.object(owner, name, stub))
        yield


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass
