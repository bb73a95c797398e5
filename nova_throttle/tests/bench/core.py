# SPDX-License-Identifier: Apache-2.0

"""What the admission core costs when a queue is long.

A queue is kept at its length: each step submits a request and finishes the
one in progress, which starts the next. Priorities are random, so that the
order has work to do. Plain Nova's queue is that of its executor.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import gc
import random
import statistics
import threading
import time

import futurist

from nova_throttle.admission import controller
from nova_throttle.admission import effects
from nova_throttle.admission import request as request_lib
from nova_throttle.tests.bench import figures

# Lengths of the queue by the number of distinct sets of gates: one, and as
# many as a host may have destinations. Fewer requests can't need so many.
LENGTHS = {1: (10, 1000, 10000), 100: (100, 1000, 10000)}
PRIORITIES = 10

clock = time.perf_counter

# Seconds of each submit and of each hand-over.
Times = tuple[Sequence[float], Sequence[float]]


class Bench:
    """A controller with a queue of a certain length.

    :param length: how many wait.
    :param lanes: how many distinct sets of gates they need.
    """

    def __init__(self, length: int, lanes: int) -> None:
        gates = dict.fromkeys(map(_gate, range(lanes)), 1)
        self._random = random.Random(length)
        self._made = 0
        self._throttle = controller.Controller(
            {'in progress': {'source': 1, **gates}}, self._start
        )
        for number in range(length + 1):
            self._throttle.submit(
                self._make((_gate(number % lanes), 'source'))
            )

    def step(self) -> tuple[float, float]:
        """Return the seconds of one submit and of one hand-over."""
        # For the same gates, so that as many wait for each as before.
        request = self._make(self._started.needs[0].gates)
        start = clock()
        self._throttle.submit(request)
        submitted = clock()
        self._throttle.finish(self._started.migration_uuid)
        return submitted - start, clock() - submitted

    def _start(self, grant: effects.Grant) -> None:
        self._started = grant.request

    def _make(self, gates: tuple[str, ...]) -> request_lib.Request:
        self._made += 1
        return request_lib.Request(
            migration_uuid=f'migration {self._made}',
            instance_uuid=f'instance {self._made}',
            destination='elsewhere',
            needs=(request_lib.Needs(gates),),
            priority=self._random.randrange(PRIORITIES),
        )


def measure_ours(count: int) -> figures.Figures:
    """Return microseconds of our core.

    :param count: steps at each length.
    """

    def steps(length: int, lanes: int) -> Times:
        bench = Bench(length, lanes)
        submits, handovers = zip(
            *(bench.step() for _ in range(count)), strict=True
        )
        return submits, handovers

    return _measure(steps)


def measure_nova(count: int) -> figures.Figures:
    """Return microseconds of the executor that is plain Nova's queue.

    :param count: how many are submitted at each length.
    """
    return _measure(lambda length, lanes: _executor(length, count))


def _measure(times: Callable[[int, int], Times]) -> figures.Figures:
    found = {}
    for lanes, lengths in LENGTHS.items():
        for length in lengths:
            with _undisturbed():
                submits, handovers = times(length, lanes)
            for verb, taken in ('submit', submits), ('hand-over', handovers):
                name = f'core.{verb}.{length}.{lanes}'
                found[name] = statistics.median(taken) * 1e6
    return found


def _executor(length: int, count: int) -> Times:
    curtain = threading.Event()
    begun: list[float] = []
    ended: list[float] = []

    def work() -> None:
        begun.append(clock())
        curtain.wait()
        ended.append(clock())

    with futurist.ThreadPoolExecutor(1) as executor:
        for _ in range(length):
            executor.submit(work)
        submits: list[float] = []
        for _ in range(count):
            start = clock()
            executor.submit(work)
            submits.append(clock() - start)
        curtain.set()
    gaps = zip(ended, begun[1:], strict=False)
    return submits, [begin - end for end, begin in gaps][:count]


def _gate(number: int) -> str:
    return f'destination {number}'


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
