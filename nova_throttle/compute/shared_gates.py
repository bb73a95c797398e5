# SPDX-License-Identifier: Apache-2.0

"""The thread of a host that talks to Placement about gates of the cloud.

There is one, and only while there is something to do or to wait for: nothing
else of this host ever waits for Placement.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import threading

import nova.conf
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.agreement import controller
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute import keyed_workers
from nova_throttle.compute import placement
from nova_throttle.compute import trouble
from nova_throttle import exception
from nova_throttle.placement import broker as broker_lib
from nova_throttle.placement import keeper as keeper_lib
from nova_throttle import rpcapi

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Seconds until the next step after one that failed.
AFTER_FAILURE = 5.0

# Of how many owners it is looked up at a time whether they are over.
SUSPECTS = 5


class SharedGates:
    """The gates of the cloud, for the requests of one host.

    :param host: this host.
    :param throttle: its admission controller.
    :param keeper: what its requests want.
    :param changed: called when what is waited for may have changed.
    """

    def __init__(
        self,
        host: str,
        throttle: controller.HostController,
        keeper: keeper_lib.Keeper,
        changed: Callable[[], None],
    ) -> None:
        self._host = host
        self._keeper = keeper
        self._changed = changed
        self._broker = broker_lib.Broker(
            host,
            placement.connect,
            keeper,
            throttle,
            listener=self,
            starts_unreachable=lambda: (
                CONF.nova_throttle.gate_unreachable == 'start'
            ),
        )
        self._hints = keyed_workers.KeyedWorkers(
            'hint', self._send_hint, threads=1
        )
        self._trouble = trouble.Trouble('Asking for slots in Placement', LOG)
        self._room: set[str] = set()
        self._lock = threading.Condition()
        self._started = False
        self._woken = False
        # Whether there is a thread, and whether it does something now.
        self._runs = self._works = False
        # Owners that were over at the last look.
        self._over: set[str] = set()
        self._asked: list[str] = []

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do now."""
        with self._lock:
            busy = self._runs and self._works
            woken = self._woken and self._started
        return not (busy or woken) and self._hints.idle

    def start(self) -> None:
        """Begin: all that is in progress is known by now."""
        with self._lock:
            self._started = True
        self.wake()

    def stop(self) -> None:
        """End, after the present step: the next life finds what is left."""
        with self._lock:
            self._started = False
            self._lock.notify_all()

    def wake(self) -> None:
        """Have done soon what is to be done."""
        with self._lock:
            self._woken = True
            self._lock.notify_all()
            if self._runs or not self._started:
                return
            self._runs = self._works = True
        try:
            compat.spawn_n(
                nova_context.get_admin_context(), 'gates', self._run
            )
        except Exception:
            with self._lock:
                self._runs = False
            # The next that is asked for, or the next look, tries again.
            LOG.exception('Cannot ask Placement for slots now')

    def hint(self, gates: Iterable[str], changed: bool) -> None:
        """Note that gates may have room, or are others now."""
        if changed:
            self._broker.look()
        self._broker.hint(gates)
        self.wake()

    def look(self, context: border.Context) -> None:
        """See which gates there are, and whether owners are over."""
        self._broker.look()
        self._free_dead(context)
        self.wake()

    # The broker's listener

    def away(self, error: exception.ThrottleError) -> None:
        """Say that what needs a slot waits, or does not."""
        LOG.warning(
            '%s; live migrations that a gate of the cloud limits %s',
            error,
            CONF.nova_throttle.gate_unreachable,
        )

    def back(self) -> None:
        """Say that it goes on."""
        LOG.info('Placement answers again')

    def leaked(self, migration_uuid: str) -> None:
        """Say that something was left behind."""
        LOG.warning(
            'Live migration %s had slots of gates of the cloud that it does '
            'not use: they are freed',
            migration_uuid,
        )

    def made_room(self, gates: Sequence[str]) -> None:
        """Have all hosts of the cell told: they may wait for it."""
        with self._lock:
            self._room.update(gates)
        self._hints.post('all')

    def _send_hint(self, hosts: str) -> None:
        with self._lock:
            room, self._room = self._room, set()
        try:
            rpcapi.hint(nova_context.get_admin_context(), sorted(room))
        except exception.ThrottleError as error:
            # They look by themselves, too.
            LOG.debug('Nobody is told of a slot: %s', error)

    def _run(self) -> None:
        while True:
            delay = self._step()
            with self._lock:
                self._works = False
                if self._started and not self._woken and delay:
                    self._lock.wait(delay)
                ends = delay is None and not self._woken
                if ends or not self._started:
                    self._runs = False
                    return
                self._woken = False
                self._works = True

    def _step(self) -> float | None:
        try:
            delay = self._broker.step()
        except Exception as error:
            self._trouble.note(error)
            return AFTER_FAILURE
        self._trouble.over()
        self._changed()
        return delay

    def _free_dead(self, context: border.Context) -> None:
        """Free slots of other hosts' migrations that are over.

        Their host does that, unless it is dead. One that waits looks, and
        frees what was over at its last look already.
        """
        if not self._keeper.refused():
            self._over.clear()
            return
        full = [s for s in self._keeper.states().values() if s.owners]
        owners = {owner for state in full for owner in state.owners}
        owners -= self._keeper.claimed().keys()
        self._asked = [owner for owner in self._asked if owner in owners]
        unasked = sorted(owners - set(self._asked))
        suspects = (unasked + self._asked)[:SUSPECTS]
        rest = [owner for owner in self._asked if owner not in suspects]
        self._asked = rest + suspects
        over = {owner for owner in suspects if _is_over(context, owner)}
        for owner in sorted(over & self._over):
            LOG.warning(
                'Live migration %s of another host is over and still has '
                'slots of gates of the cloud: they are freed',
                owner,
            )
            self._keeper.free(owner)
        self._over = over | (self._over & owners - set(suspects))


def _is_over(context: border.Context, migration_uuid: str) -> bool:
    try:
        found = objects.Migration.get_by_uuid(context, migration_uuid)
    except nova_exception.MigrationNotFound:
        # It may be of another cell.
        return False
    return found.status in compat.FINAL_STATUSES
