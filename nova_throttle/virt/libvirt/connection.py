# SPDX-License-Identifier: Apache-2.0


"""The connection to libvirt, and that it may be lost inside a call.

libvirt runs the close callback in the thread that finds out. On native
threads Nova acts there and then, and needs a lock that this very thread may
hold.
"""

import atexit
import functools
import sys
import threading
from typing import Any

from nova_throttle.compute import compat


def mend(host: Any) -> None:
    """Let a lost connection neither hang nor disable a host for good.

    Under eventlet Nova hands what libvirt tells to another thread, and
    nothing has to be done.

    :param host: Nova's object for the hypervisor, not in use yet.
    """
    if compat.is_native():
        # Nova's thread for these events ends for nothing else, and a process
        # whose start failed waits for it: it would neither work nor end.
        atexit.register(host._conn_event_handler_queue.put, sys.exit)
        host._wrapped_conn_lock = threading.RLock()
        host._close_callback = functools.partial(
            _close_callback, host, host._close_callback
        )


def _close_callback(
    host: Any, novas: Any, conn: Any, reason: Any, opaque: Any
) -> None:
    """Have Nova disable the host, unless it is connected again by now.

    Nova has told of the loss before it connects again; told after it, the
    host would stay disabled. Nova's callback only queues what is to be done,
    so that it may be called under its lock, which keeps that order.
    """
    with host._wrapped_conn_lock:
        if host._wrapped_conn in (None, conn):
            novas(conn, reason, opaque)
