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

"""Stands in for libvirt's migration call: a guest takes so many seconds.

It counts on its own how many guests each host sends and receives at once,
and knows nothing of who let them start.
"""

from collections.abc import Callable
import threading
import time
from typing import Any

from nova_throttle.demo import tally


class Guests:
    """All guests of all hosts.

    :param connection: returns the connection to libvirt of a host.
    :param seconds: how long a migration takes.
    """

    def __init__(
        self, connection: Callable[[str], Any], seconds: float
    ) -> None:
        self._connection = connection
        self._seconds = seconds
        self._lock = threading.Lock()
        # When the calls that are being made began, by the guest's UUID.
        self._began: dict[str, float] = {}
        self.tally = tally.Tally()

    def migrate(
        self, domain: Any, uri: str, params: dict[str, Any], flags: int = 0
    ) -> None:
        """Stand in for migrateToURI3."""
        uuid = domain.UUIDString()
        # Behind the scheme of the URI is the destination's name.
        host = uri.partition('://')[2].partition('/')[0]
        with self._lock:
            self._began[uuid] = time.monotonic()
            self.tally.enter(uuid, domain._connection.getHostname(), host)
        threading.Event().wait(self._seconds)
        self._connection(host).createXML(params['destination_xml'], 0)
        with self._lock:
            del self._began[uuid]
            self.tally.leave(uuid)
        domain.complete_job()

    def progress(self, uuid: str) -> float:
        """Return the part of a guest that has been sent, from 0 to 1."""
        with self._lock:
            began = self._began.get(uuid)
        if began is None or not self._seconds:
            return 0.0
        return min(1.0, (time.monotonic() - began) / self._seconds)
