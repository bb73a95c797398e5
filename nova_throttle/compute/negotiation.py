# SPDX-License-Identifier: Apache-2.0

"""What this host agrees on with others, over the message bus.

It keeps the gate of what comes in, and asks other hosts for slots of theirs.
A destination that keeps no gate is never waited for; one that is silent is
asked again until it answers or its service is known to be down.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import time

import nova.conf
from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.admission import effects
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.agreement import controller as controller_lib
from nova_throttle.agreement import destination as destination_lib
from nova_throttle.agreement import messages
from nova_throttle.agreement import source as source_lib
from nova_throttle.compute import border
from nova_throttle.compute import gates
from nova_throttle.compute import keyed_workers
from nova_throttle.compute import limits
from nova_throttle.compute import shared_gates
from nova_throttle.compute.source import checks
from nova_throttle import exception
from nova_throttle.placement import keeper as keeper_lib
from nova_throttle import rpcapi
from nova_throttle.transfer import link as link_lib
from nova_throttle.transfer import progress as progress_lib

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class Negotiation:
    """The agreement of one host with all others.

    :param host: this host.
    :param start: called with each request that may enter a stage.
    :param changed: called when what is waited for may have changed.
    :param stops: called with each destination that is about to stop.
    :param progress: tells how far each transfer is, by migration UUID.
    :param slow: tells where those are that go slowly.
    """

    def __init__(
        self,
        host: str,
        start: Callable[[effects.Grant], None],
        changed: Callable[[], None],
        stops: Callable[[str], None],
        progress: Callable[[], Mapping[str, progress_lib.Progress]],
        slow: Callable[[], Mapping[str, link_lib.Place]],
    ) -> None:
        incarnation = time.time_ns()
        self._changed = changed
        self._stops = stops
        self._api = rpcapi.HostAPI()
        self._asks = keyed_workers.KeyedWorkers('ask', self._ask)
        self._tells = keyed_workers.KeyedWorkers('tell', self._tell)
        self._known_open: set[str] = set()
        incoming = gates.incoming()
        keeper = keeper_lib.Keeper()
        self.incoming = destination_lib.Destination(
            host, incarnation, incoming, self._tells.post
        )
        self.throttle = controller_lib.HostController(
            gates.outgoing(),
            start,
            source=source_lib.Source(host, incarnation, tuple(incoming)),
            tell=self._post,
            destination=self.incoming,
            others={keeper_lib.SHARED.name: keeper},
            seen=keeper.states,
            progress=progress,
            slow=slow,
        )
        self.shared = shared_gates.SharedGates(
            host, self.throttle, keeper, changed
        )
        limits.take_up(self.throttle)

    @property
    def idle(self) -> bool:
        """Whether no message is sent or due."""
        return self._asks.idle and self._tells.idle and self.shared.idle

    # What other hosts say; called by the endpoint

    def hear(self, ask: messages.Ask) -> messages.Tell | None:
        """Take up what a source says, and answer if it wants that."""
        self.incoming.hear(ask)
        return self.incoming.compose(ask.source) if ask.wants_answer else None

    def receive(self, tell: messages.Tell) -> None:
        """Take up what a destination tells."""
        self._note_gate(tell.destination)
        self.throttle.receive(tell)
        self._changed()
        if tell.standstill == snapshot_lib.WaitReason.STOPPING.value:
            self._stops(tell.destination)

    def report(self, destination: str, incarnation: int) -> messages.Ask:
        """Tell a destination all about its requests, because it asks."""
        self._note_gate(destination)
        return self.throttle.report(destination, incarnation)

    def hint(self, gates: Collection[str], changed: bool) -> None:
        """Take note that gates of the cloud may have room, or are others."""
        self.shared.hint(gates, changed)

    # What this host says

    def _post(self, party: str) -> None:
        """Have somebody told who keeps gates: a host, or Placement."""
        if party == keeper_lib.BROKER:
            self.shared.wake()
        else:
            self._asks.post(party)

    def _ask(self, host: str) -> bool:
        """Ask a destination; return whether it answered."""
        ask = self.throttle.compose(host)
        if ask is None:
            return True
        answered = True
        try:
            tell = self._api.ask(nova_context.get_admin_context(), host, ask)
        except exception.HostNotThrottled:
            self._open(host)
        except exception.ThrottleError as error:
            LOG.warning('Destination %s cannot be asked: %s', host, error)
            self.throttle.failed(host)
            answered = False
        else:
            if tell is not None:
                self.receive(tell)
        self._changed()
        return answered

    def _tell(self, host: str) -> None:
        # A message that is lost is found out by the next look.
        try:
            self._api.tell(
                nova_context.get_admin_context(),
                host,
                self.incoming.compose(host),
            )
        except exception.ThrottleError as error:
            LOG.warning('Source %s cannot be told: %s', host, error)

    def _open(self, host: str) -> None:
        if host not in self._known_open:
            self._known_open.add(host)
            LOG.info(
                'Destination %s does not limit incoming live migrations: '
                'nova-throttle is not active there, or is too old',
                host,
            )
        self.throttle.open(host, CONF.nova_throttle.peer_retry_interval)

    def _note_gate(self, host: str) -> None:
        if host in self._known_open:
            self._known_open.discard(host)
            LOG.info(
                'Destination %s limits incoming live migrations now', host
            )

    def look(self, context: border.Context) -> None:
        """Ask again where no word came for long: messages may be lost."""
        for host in self.throttle.unheard(
            CONF.nova_throttle.housekeeping_interval
        ):
            if checks.is_gone(context, host):
                # What starts finds that its destination is down.
                self.throttle.open(host, 0)
            else:
                self._asks.post(host)
