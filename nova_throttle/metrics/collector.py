# SPDX-License-Identifier: Apache-2.0

"""What Prometheus is told of one host, by its conventions.

Everything is read when it is asked for. No series is about one migration
unless that is on the wire, so that their number has a bound.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import math

import prometheus_client
from prometheus_client import metrics_core
from prometheus_client import registry as registry_lib

from nova_throttle.admission import limiter
from nova_throttle.admission import priority as priority_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle import lifecycle
from nova_throttle.metrics import course as course_lib

State = lifecycle.State

Series = Iterable[tuple[tuple[str, ...], float]]

# What may be in the queue.
_WAITING = (State.QUEUED, State.PREPARED)

# Of priorities that are in no class.
_OTHER = 'other'
_CLASSES = (*(each.word for each in priority_lib.Priority), _OTHER)


def _slots(gate: snapshot_lib.GateState) -> float:
    """Return a number that owners can be compared with."""
    return math.inf if gate.limit == limiter.UNLIMITED else gate.limit


# Of each gate: name, text, and how it is read.
_OF_A_GATE: tuple[
    tuple[str, str, Callable[[snapshot_lib.GateState], float]], ...
] = (
    ('limit', 'Slots of a gate; +Inf if it is unlimited', _slots),
    (
        'owners',
        'Live migrations that have a slot of a gate',
        lambda gate: len(gate.owners),
    ),
    (
        'offered',
        'Slots of a gate that are offered to another host',
        lambda gate: len(gate.offered),
    ),
)

# Of each guest on the wire: name, text, and attribute of its progress.
_OF_A_TRANSFER = (
    ('sent_bytes', 'What was sent of a guest, repeats included', 'done'),
    ('remaining_bytes', 'What of a guest is yet to be sent', 'remaining'),
    ('bytes_per_second', 'How fast a guest is sent, as measured', 'rate'),
    (
        'dirty_bytes_per_second',
        'How fast a guest writes to its memory; 0 in the first pass',
        'dirty_rate',
    ),
    ('pass', 'The pass over the memory of a guest, from 1', 'iteration'),
)


class Collector(registry_lib.Collector):
    """Collects what is true of one host at this instant.

    :param host: the host, as Nova names it: a label of all series, so that
        those of several hosts may be in one file.
    :param versions: what runs there, by the name of a label.
    :param snapshot: returns what is true of its admission.
    :param durable: returns whether all of its queue is on disk.
    :param paused: returns whether an operator has paused its queue.
    :param course: has heard what happened to its migrations.
    """

    def __init__(
        self,
        host: str,
        versions: Mapping[str, str],
        snapshot: Callable[[], snapshot_lib.Snapshot],
        durable: Callable[[], bool],
        paused: Callable[[], bool],
        course: course_lib.Course,
    ) -> None:
        self._host = host
        self._versions = versions
        self._snapshot = snapshot
        self._durable = durable
        self._paused = paused
        self.course = course
        self.registry = prometheus_client.CollectorRegistry()
        self.registry.register(self)

    def text(self) -> str:
        """Return all of it in Prometheus' text format."""
        return prometheus_client.generate_latest(self.registry).decode()

    def describe(self) -> Iterable[metrics_core.Metric]:
        """Say nothing: the registry need not ask for values to know names."""
        return ()

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yield each metric with all its series."""
        for metric in self._metrics():
            metric.samples = [
                sample._replace(labels={'host': self._host, **sample.labels})
                for sample in metric.samples
                # When a series was made is of no use to anybody here.
                if not sample.name.endswith('_created')
            ]
            yield metric

    def _metrics(self) -> Iterator[metrics_core.Metric]:
        snapshot = self._snapshot()
        states = self.course.states()
        yield _gauge(
            'info',
            'What runs on the host; always 1',
            tuple(self._versions),
            [(tuple(self._versions.values()), 1)],
        )
        yield from _gates(snapshot)
        yield from _queue(snapshot, states)
        yield _value(
            'queue_paused',
            'Whether an operator lets nothing start to leave the host: 1 or 0',
            self._paused(),
        )
        yield _migrations(states)
        yield from _transfers(snapshot)
        yield _value(
            'journal_durable',
            'Whether all of the queue is on disk: 1, or 0 if it is in memory '
            'only',
            self._durable(),
        )
        yield from self.course.finished.collect()
        yield from self.course.durations.collect()
        yield from self.course.downtimes.collect()


def _gauge(
    name: str, text: str, labels: tuple[str, ...], series: Series
) -> metrics_core.Metric:
    metric = metrics_core.GaugeMetricFamily(
        f'nova_throttle_{name}', text, labels=labels
    )
    for values, value in series:
        metric.add_metric(values, value)
    return metric


def _value(name: str, text: str, value: float) -> metrics_core.Metric:
    """Return a metric of one series, with no label of its own."""
    return _gauge(name, text, (), [((), float(value))])


def _migrations(states: Mapping[str, State]) -> metrics_core.Metric:
    counts = collections.Counter(states.values())
    return _gauge(
        'migrations',
        'Live migrations from this host that are not over',
        ('state',),
        [
            ((state.value,), counts[state])
            for state in State
            if state is not State.OVER
        ],
    )


def _gates(
    snapshot: snapshot_lib.Snapshot,
) -> Iterator[metrics_core.Metric]:
    gates = snapshot.gates.values()
    waiting = _waiting_here(snapshot)
    for name, text, value in _OF_A_GATE:
        series = [((gate.name,), value(gate)) for gate in gates]
        yield _gauge(f'gate_{name}', text, ('gate',), series)
    # Those of a cluster, which this host does not keep, are among these.
    waiting.update({gate.name: len(gate.waiting) for gate in gates})
    yield _gauge(
        'gate_waiting',
        'Live migrations that wait for a slot of a gate: of this host, and '
        'of others for a gate of this host',
        ('gate',),
        [((name,), count) for name, count in waiting.items()],
    )


def _waiting_here(snapshot: snapshot_lib.Snapshot) -> collections.Counter[str]:
    """Count the requests of this host that wait for no other host's gate."""
    return collections.Counter(
        wait.gate
        for entry in snapshot.queue
        for wait in entry.waits_for
        if wait.gate and not wait.host
    )


def _queue(
    snapshot: snapshot_lib.Snapshot, states: Mapping[str, State]
) -> Iterator[metrics_core.Metric]:
    """Yield what is true of what waits.

    :param states: the state of each migration of the host.
    """
    length = {
        (state.value, priority): 0
        for state in _WAITING
        for priority in _CLASSES
    }
    oldest = dict.fromkeys(_WAITING, 0.0)
    for entry in snapshot.queue:
        known = states.get(entry.migration_uuid)
        # One that goes slowly until its turn waits for the link, too.
        for_link = known in (State.PREPARED, State.TRANSFERRING)
        state = State.PREPARED if for_link else State.QUEUED
        length[state.value, _class_of(entry.priority)] += 1
        oldest[state] = max(oldest[state], entry.seconds_waited)
    yield _gauge(
        'queue_length',
        'Live migrations that wait, for their turn (queued) or for the link '
        '(prepared)',
        ('state', 'class'),
        length.items(),
    )
    yield _gauge(
        'queue_oldest_wait_seconds',
        'How long the one has waited that has waited longest',
        ('state',),
        [((state.value,), seconds) for state, seconds in oldest.items()],
    )
    yield _waits(snapshot)


def _waits(snapshot: snapshot_lib.Snapshot) -> metrics_core.Metric:
    reasons = collections.Counter(
        wait.reason for entry in snapshot.queue for wait in entry.waits_for
    )
    return _gauge(
        'queue_waits',
        'Live migrations that wait, by each reason that keeps them; gate by '
        'gate',
        ('reason',),
        [
            ((reason.value,), reasons[reason])
            for reason in snapshot_lib.WaitReason
        ],
    )


def _class_of(priority: int) -> str:
    """Name the class of a priority."""
    word = priority_lib.word(priority)
    return word if word in _CLASSES else _OTHER


def _transfers(
    snapshot: snapshot_lib.Snapshot,
) -> Iterator[metrics_core.Metric]:
    """Yield what is true of the link, and of each guest that moves."""
    moving = snapshot.progress
    yield _value(
        'link_transfers',
        'Guests that move away from this host right now',
        sum(each.done > 0 for each in moving.values()),
    )
    yield _value(
        'link_bytes_per_second',
        'What leaves this host for live migrations, as measured',
        sum(each.rate for each in moving.values()),
    )
    for name, text, attribute in _OF_A_TRANSFER:
        yield _gauge(
            f'migration_{name}',
            text,
            ('migration',),
            [
                ((uuid,), getattr(each, attribute))
                for uuid, each in moving.items()
            ],
        )
