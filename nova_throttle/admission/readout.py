# SPDX-License-Identifier: Apache-2.0

"""What can be seen of the admission: frozen values, of one instant each."""

import threading

from nova_throttle.admission import admission as admission_lib
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.admission import waits

# Seconds. The lock is never held for so long, except by who asks.
MOMENT = 0.5


class Readout:
    """The lock of the admission, and what is read with it.

    :param admission: what decides.
    """

    def __init__(self, admission: admission_lib.Admission) -> None:
        self._admission = admission
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        state = 'closed' if self.closed else 'open'
        with self._lock:
            owners, waiting = self._admission.members.count()
            gates = [
                gate
                for stage in self._admission.stages
                for gate in stage.gates.values()
            ]
        return (
            f'<Controller {state}: {owners} in progress, '
            f'{waiting} queued, {gates}>'
        )

    @property
    def closed(self) -> bool:
        """Whether stopping has begun."""
        return standstill.Standstill.STOPPING in self._admission.standstill

    @property
    def paused(self) -> bool:
        """Whether an operator lets nothing start to leave."""
        return standstill.Standstill.PAUSED in self._admission.standstill

    @property
    def stands_still(self) -> bool:
        """Whether nothing enters the last stage now."""
        reasons = self._admission.standstill
        last = self._admission.stages.last
        return bool(standstill.of_stage(reasons, last))

    def waiting(self) -> tuple[request_lib.Request, ...]:
        """Return the queued requests in their order."""
        with self._lock:
            look = self._admission.look()
        return tuple(waiting.request for waiting in waits.in_order(look))

    def next_in_line(self, count: int) -> tuple[request_lib.Request, ...]:
        """Return requests that may be the next to enter the first stage.

        :param count: so many at most.
        """
        with self._lock:
            heads = self._admission.stages.heads()
            may_start = [each.request for each in heads if not each.rests]
        return tuple(may_start[:count])

    def gate(self, name: str) -> snapshot_lib.GateState:
        """Return what is true of one gate, without a look at the queue.

        :raises UnknownGate: if there is no such gate.
        """
        with self._lock:
            return self._admission.stages.state(name)

    def snapshot(self) -> snapshot_lib.Snapshot:
        """Return what is true at this instant, as a frozen value."""
        with self._lock:
            look = self._admission.look()
        return waits.snapshot(look)

    def is_interrupted(self) -> bool:
        """Tell whether a caller may have interrupted the holder of the lock.

        A signal's handler may: it would wait for itself for ever.
        """
        return not is_free(self._lock)


def is_free(lock: threading.Lock) -> bool:
    """Tell whether a lock is free, or soon is."""
    free = lock.acquire(timeout=MOMENT)
    if free:
        lock.release()
    return free
