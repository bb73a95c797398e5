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

"""Who carries messages to other hosts, off every path that must not wait.

A host is written on the list, and a thread delivers to it once. Being on the
list twice is like being on it once: what is delivered is made when it is.
"""

from collections.abc import Callable
import threading

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.compute import compat

LOG = logging.getLogger(__name__)


class Postman:
    """Deliver to hosts, to several at a time but once at a time to each.

    :param name: what its threads are called.
    :param deliver: called with a host; an exception of it is only logged.
    :param threads: how many deliver at a time at most; there are none while
        nothing is on the list.
    """

    def __init__(
        self, name: str, deliver: Callable[[str], None], threads: int = 8
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._threads = threads
        self._due: dict[str, None] = {}
        self._busy: set[str] = set()
        self._running = 0
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing is delivered or due."""
        with self._lock:
            return not (self._due or self._running)

    def post(self, host: str) -> None:
        """Have something delivered to a host soon."""
        with self._lock:
            self._due[host] = None
            if self._running >= self._threads or host in self._busy:
                return
            self._running += 1
        try:
            compat.spawn_n(
                nova_context.get_admin_context(), self._name, self._run
            )
        except Exception:
            with self._lock:
                self._running -= 1
            # It stays on the list, for the next that is asked for.
            LOG.exception('Can not deliver to %s now', host)

    def _run(self) -> None:
        while (host := self._next()) is not None:
            try:
                self._deliver(host)
            except Exception:
                LOG.exception('A message to %s failed', host)
            with self._lock:
                self._busy.discard(host)

    def _next(self) -> str | None:
        with self._lock:
            for host in self._due:
                if host not in self._busy:
                    del self._due[host]
                    self._busy.add(host)
                    return host
            self._running -= 1
            return None
