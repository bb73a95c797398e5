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

"""The threads that admitted migrations run on, and the one behind them.

A worker whose migration is over takes the next admitted one itself: starting
a thread would be most of the hand-over's time. What need not be done before
the next starts is left to a clerk.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import queue
import threading
from typing import Any

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.compute import compat

LOG = logging.getLogger(__name__)

Work = Callable[[Any], None]


class Workers:
    """Run admitted work, each on a thread off every pool of Nova.

    :param work: called with each job; an exception of it is only logged.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._local = threading.local()

    def start(self, job: Any) -> None:
        """Run the work of a job at once.

        :param job: has the request context that it runs under.
        :raises RuntimeError: if the process can't have another thread.
        """
        if getattr(self._local, 'takes_next', False):
            self._local.takes_next = False
            self._local.next_job = job
        else:
            compat.spawn_n(job.context, job.migration.uuid, self._run, job)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Let this thread take the next job when its present one is done."""
        self._local.takes_next = hasattr(self._local, 'next_job')
        try:
            yield
        finally:
            self._local.takes_next = False

    def _run(self, job: Any) -> None:
        while job is not None:
            self._local.next_job = None
            try:
                self._work(job)
            except Exception:
                LOG.exception('Work on %s failed', job)
            job = self._local.next_job
            if job is not None:
                threading.current_thread().name = compat.thread_name(
                    job.migration.uuid
                )
                job.context.update_store()


class Clerk:
    """Do one thing after the other, on one thread.

    Before it is started and once it is stopped, whoever asks does it
    himself.
    """

    def __init__(self) -> None:
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Begin, unless it has begun."""
        with self._lock:
            if self._started:
                return
            self._started = True
        compat.spawn_n(nova_context.get_admin_context(), 'clerk', self._run)

    def stop(self) -> None:
        """End, once all is done that was asked for."""
        with self._lock:
            if self._started:
                self._started = False
                self._tasks.put(None)

    def do(self, task: Callable[[], None]) -> None:
        """Have something done soon."""
        with self._lock:
            if self._started:
                self._tasks.put(task)
                return
        _do(task)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            _do(task)


def _do(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception:
        LOG.exception('A task of nova-throttle failed')
