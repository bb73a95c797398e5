# SPDX-License-Identifier: Apache-2.0

"""How long each live migration of a host was in each of its states.

It hears of each change, and keeps nothing of a migration that is over. What
has begun before this nova-compute is timed from the start of that.
"""

from collections.abc import Mapping
import threading
import time

import prometheus_client

from nova_throttle import events
from nova_throttle import lifecycle

State = lifecycle.State

# All results that there are, Nova's words for them.
RESULTS = ('completed', 'failed', 'cancelled', 'error')

# Seconds, from a preparation that does nothing to half a day in a queue.
_BUCKETS = (
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    *(1800.0, 3600.0, 7200.0, 14400.0, 43200.0),
)

# Seconds, from what nobody notices to what breaks connections.
_DOWNTIMES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Course:
    """Listens to what happens to the live migrations of one host.

    It may be called by many threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, tuple[State, float]] = {}
        self.durations = prometheus_client.Histogram(
            'nova_throttle_state_duration_seconds',
            'How long live migrations were in a state, once they have left it',
            ['state'],
            buckets=_BUCKETS,
            registry=None,
        )
        self.downtimes = prometheus_client.Histogram(
            'nova_throttle_downtime_seconds',
            'How long guests paused at the end that came to this host',
            buckets=_DOWNTIMES,
            registry=None,
        )
        self.finished = prometheus_client.Counter(
            'nova_throttle_finished_migrations',
            'Live migrations of this host that are over',
            ['result'],
            registry=None,
        )
        # All of them from the start: a rate needs what was before the first.
        for result in RESULTS:
            self.finished.labels(result)
        for state in State:
            if state is not State.OVER:
                self.durations.labels(state.value)

    def note(self, transition: events.Transition) -> None:
        """Take up a change of a state."""
        now = time.monotonic()
        left = self._go_on(transition, now)
        if left is not None:
            state, since = left
            self.durations.labels(state.value).observe(now - since)
        if transition.after is State.OVER:
            result = _result(transition)
            if result is not None:
                self.finished.labels(result).inc()

    def note_downtime(self, seconds: float) -> None:
        """Take up for how long a guest has paused that came here."""
        self.downtimes.observe(seconds)

    def states(self) -> Mapping[str, State]:
        """Return the state of each live migration that is not over."""
        with self._lock:
            return {uuid: state for uuid, (state, _) in self._since.items()}

    def _go_on(
        self, transition: events.Transition, now: float
    ) -> tuple[State, float] | None:
        """Return the state that was left, and since when it was so."""
        uuid, after = transition.migration_uuid, transition.after
        with self._lock:
            known = self._since.get(uuid)
            if known is not None and known[0] is after:
                return None
            if after is State.OVER:
                self._since.pop(uuid, None)
            else:
                self._since[uuid] = after, now
        return known


def _result(transition: events.Transition) -> str | None:
    """Return what became of a migration; None if it is not decided.

    So it is for one that a stop interrupts: it goes on after the restart.
    """
    if transition.before is State.ARRIVED:
        return 'completed'
    return transition.status if transition.status in RESULTS else None
