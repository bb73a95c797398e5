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


"""The connection to libvirt, and that it may be lost inside a call.

libvirt runs the close callback in the thread that finds out. On native
threads Nova acts there and then, and needs a lock that this very thread may
hold.
"""

import functools
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
