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

"""What is looked at now and then, on one thread.

Nothing that operates normally waits for a chore: it finds what events may
have missed. A chore that fails is logged and tried again.
"""

from collections.abc import Callable
import threading

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.compute import compat

LOG = logging.getLogger(__name__)

# Seconds until a chore is run again that asked for it.
SOON = 5.0


class Chores:
    """Run a function at once, and again and again until stopped.

    :param chore: what to run, with an admin context. It returns whether it
        should be run again soon.
    """

    def __init__(self, chore: Callable[[object], bool]) -> None:
        self._chore = chore
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, interval: float) -> None:
        """Begin, unless it has begun.

        :param interval: seconds between the end of one run and the next.
        """
        if self._thread is not None:
            return
        self._stopped.clear()
        self._thread = compat.spawn_n(
            nova_context.get_admin_context(), 'chores', self._run, interval
        )

    def stop(self) -> None:
        """End, after the present run; twice is harmless."""
        self._stopped.set()
        self._thread = None

    def _run(self, interval: float) -> None:
        while True:
            soon = False
            try:
                soon = self._chore(nova_context.get_admin_context())
            except Exception:
                LOG.exception('A chore of nova-throttle failed')
            if self._stopped.wait(min(interval, SOON) if soon else interval):
                return
