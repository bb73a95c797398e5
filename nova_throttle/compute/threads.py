# SPDX-License-Identifier: Apache-2.0

"""The threads of what this host does by itself.

Each belongs to one thing, so that one which hangs holds up nothing else. All
are daemons: not one keeps the process from ending.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import queue
import random
import threading
import time
from typing import Any

from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute import trouble

LOG = logging.getLogger(__name__)

Work = Callable[[Any], None]

# Seconds until a periodic task is run again that asked for it, or failed.
SOON = 5.0

# Seconds for which a thread that nobody waits for lets others go first. One
# thread at a time runs Python: what follows the end of a migration and the
# start of the next would share it, and the slot is free meanwhile.
STEP_BACK = 0.02

# By which part an interval is shorter or longer: hosts that were started
# together do not burden the database together for ever.
JITTER = 0.1


class Workers:
    """Run admitted work, each on a thread off every pool of Nova.

    A worker whose migration is over takes the next admitted one itself:
    starting a thread would be most of the hand-over's time.

    :param work: called with each migration; an exception of it is only logged.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._local = threading.local()

    def start(self, migration: border.MigrationRecord) -> None:
        """Run the work of a migration at once.

        :param migration: has the request context that it runs under.
        :raises RuntimeError: if the process can't have another thread.
        """
        if getattr(self._local, 'takes_next', False):
            self._local.takes_next = False
            self._local.next_one = migration
        else:
            compat.spawn_n(
                migration.context, migration.record.uuid, self._run, migration
            )

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Let this thread take the next one when its present one is done."""
        self._local.takes_next = hasattr(self._local, 'next_one')
        try:
            yield
        finally:
            self._local.takes_next = False

    def _run(self, migration: border.MigrationRecord) -> None:
        while migration is not None:
            self._local.next_one = None
            try:
                self._work(migration)
            except Exception:
                LOG.exception('Work on %s failed', migration)
            migration = self._local.next_one
            if migration is not None:
                threading.current_thread().name = compat.thread_name(
                    migration.record.uuid
                )
                migration.context.update_store()


def step_back() -> None:
    """Let those go first for whom somebody waits."""
    time.sleep(STEP_BACK)


class BackgroundWorker:
    """Do one thing after the other, on one thread, a moment later.

    Before it is started and once it is stopped, the caller does it.

    :param name: of its thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Begin, unless it has begun."""
        with self._lock:
            if self._started:
                return
            self._started = True
        compat.spawn_n(nova_context.get_admin_context(), self._name, self._run)

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
            if self._tasks.empty():
                step_back()
            _do(task)


def _do(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception:
        LOG.exception('A task of nova-throttle failed')


class PeriodicTask:
    """Run a function at once, and again and again until stopped.

    It never runs twice at a time, however often it is stopped and started.
    It is on a thread of its own and not in futurist's PeriodicWorker, whose
    threads are waited for without a limit when the process ends, and whose
    interval is fixed before it is started.

    :param name: of its thread.
    :param work: what to run, with an admin context. It returns whether it
        should be run again soon.
    """

    def __init__(self, name: str, work: Callable[[Any], bool | None]) -> None:
        self.name = name
        self._work = work
        self._lock = threading.Lock()
        self._interval = 0.0
        # Of the present start; a start makes its own.
        self._stopped = threading.Event()
        self._stopped.set()
        self._alive = False
        self._thread: threading.Thread | None = None
        self._trouble = trouble.Trouble(
            f'Periodic task {name} of nova-throttle', LOG
        )

    def start(self, interval: float) -> None:
        """Begin, unless it has begun.

        :param interval: seconds between the end of one run and the next.
        :raises RuntimeError: if the process can't have another thread.
        """
        with self._lock:
            if not self._stopped.is_set():
                return
            self._stopped = threading.Event()
            self._interval = interval
            if self._alive:
                return  # the thread of the start before goes on
            self._alive = True
        context = nova_context.get_admin_context()
        try:
            self._thread = compat.spawn_n(context, self.name, self._loop)
        except Exception:
            self._alive = False
            self._stopped.set()
            raise

    def stop(self) -> None:
        """End, after the present run; twice is harmless."""
        with self._lock:
            self._stopped.set()

    def join(self, timeout: float) -> bool:
        """Wait until it has ended.

        :param timeout: seconds.
        :returns: whether it has.
        """
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def run(self) -> bool:
        """Run the function once; it may fail.

        :returns: whether it should be run again soon.
        """
        try:
            soon = bool(self._work(nova_context.get_admin_context()))
        except Exception as error:
            self._trouble.note(error)
            return True
        self._trouble.over()
        return soon

    def _loop(self) -> None:
        while True:
            with self._lock:
                stopped, interval = self._stopped, self._interval
                if stopped.is_set():
                    self._alive = False
                    return
            soon = self.run()
            delay = min(interval, SOON) if soon else interval
            delay *= random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
            stopped.wait(delay)
