# SPDX-License-Identifier: Apache-2.0

"""The half of our RPC interface in nova-compute.

What there is to see, limits, and what hosts tell each other.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import reprlib
from typing import Any
from typing import Protocol
from typing import TypeVar

from oslo_utils import uuidutils

from nova_throttle.agreement import messages
from nova_throttle import audit
from nova_throttle import exception
from nova_throttle import hosts
from nova_throttle.objects import agreement
from nova_throttle.objects import base as objects_base
from nova_throttle import rpcapi
from nova_throttle import rpcbase

_Object = TypeVar('_Object', bound=objects_base.ThrottleObject)

# A limit that is found out.
AUTO = 'auto'


class Negotiation(Protocol):
    """What the endpoint needs of the agreement with other hosts."""

    def hear(self, ask: messages.Ask) -> messages.Tell | None: ...

    def receive(self, tell: messages.Tell) -> None: ...

    def report(self, destination: str, incarnation: int) -> messages.Ask: ...

    def hint(self, gates: Collection[str], changed: bool) -> None: ...


class ThrottleEndpoint(rpcbase.Endpoint):
    """What other hosts, and who looks, ask of this one.

    :param manager: the manager whose throttle is meant.
    :param peers: the agreement of its host with others.
    :param see: tells what the hypervisor shows of the guest of a server.
    :param metrics: returns the metrics of this host as text.
    :param shown: what else there is to see; see the base.
    """

    def __init__(
        self,
        manager: rpcbase.Manager,
        peers: Negotiation,
        see: Callable[[Any, str], str],
        metrics: Callable[[], str] = str,
        **shown: Callable[[], Any],
    ) -> None:
        super().__init__(manager, **shown)
        self._peers = peers
        self._see = see
        self._metrics = metrics

    @rpcbase.for_administrators('seeing the queue')
    def get_snapshot(
        self, ctxt: Any, versions: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return what is true at this instant.

        :param ctxt: the request context of an administrator.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot as plain data.
        :raises AdminRequired: if somebody else asks.
        """
        return self._snapshot(versions)

    @rpcbase.for_administrators('seeing the metrics')
    def get_metrics(
        self, ctxt: Any, versions: Mapping[str, str] | None = None
    ) -> str:
        """Return the metrics of this host in Prometheus' text format.

        :param ctxt: the request context of an administrator.
        :param versions: of the objects that the caller can read; not used.
        :raises AdminRequired: if somebody else asks.
        :raises NoMetrics: if the library for them is missing.
        """
        return self._metrics()

    @rpcbase.for_administrators('changing a limit')
    def set_limit(
        self,
        ctxt: Any,
        gate: str,
        limit: int | str,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Change the limit of a gate, at once.

        :param ctxt: the request context of an administrator.
        :param gate: the gate's name.
        :param limit: slots; 0 is unlimited, and 'auto' finds it out.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        :raises UnknownGate: if there is no such gate.
        :raises InvalidLimit: if the limit is not a number of slots.
        """
        # True is an int, and anything may come from the bus.
        if type(limit) is not int and limit != AUTO:
            raise exception.InvalidLimit(gate=gate, limit=limit)
        if not isinstance(gate, str):
            raise exception.UnknownGate(gate=reprlib.repr(gate))
        throttle = self._manager.throttle
        before = throttle.gate(gate).limit
        if isinstance(limit, int):
            throttle.resize(gate, limit)
        else:
            throttle.find_out(gate)
        audit.note(
            ctxt,
            f'the limit of gate {gate} was changed from {before} to {limit}',
        )
        return self._snapshot(versions)

    @rpcbase.for_administrators('asking for slots')
    def ask(
        self,
        ctxt: Any,
        ask: Mapping[str, Any],
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Take up what a source says of its requests for this host.

        :param ctxt: the request context of a service.
        :param ask: an Ask as plain data.
        :param versions: of the objects that the caller can read.
        :returns: a Tell as plain data, if the source wants an answer.
        :raises AdminRequired: if somebody else asks.
        :raises UnknownGate: if it asks for a slot of a gate of another name.
        """
        heard: messages.Ask = _read(agreement.Ask, ask)
        hosts.check_host(heard.source)
        tell = self._peers.hear(heard)
        if tell is None:
            return None
        return rpcbase.dump(agreement.Tell.from_core(tell), versions)

    @rpcbase.for_administrators('offering slots')
    def tell(self, ctxt: Any, tell: Mapping[str, Any]) -> None:
        """Take up what a destination tells of its slots.

        :param ctxt: the request context of a service.
        :param tell: a Tell as plain data.
        :raises AdminRequired: if somebody else tells.
        """
        told: messages.Tell = _read(agreement.Tell, tell)
        hosts.check_host(told.destination)
        self._peers.receive(told)

    @rpcbase.for_administrators('reporting requests')
    def report(
        self,
        ctxt: Any,
        destination: str,
        incarnation: int,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return all that this host has for a destination.

        :param ctxt: the request context of a service.
        :param destination: the host that wants to know.
        :param incarnation: of its service.
        :param versions: of the objects that the caller can read.
        :returns: an Ask as plain data.
        :raises AdminRequired: if somebody else wants to know.
        """
        if type(incarnation) is not int:
            raise exception.InvalidMessage(reason='incarnation is no number')
        ask = self._peers.report(hosts.check_host(destination), incarnation)
        return rpcbase.dump(agreement.Ask.from_core(ask), versions)

    @rpcbase.for_administrators('telling of room')
    def hint(self, ctxt: Any, gates: list[str], changed: bool) -> None:
        """Take note that gates of the cloud may have room.

        :param ctxt: the request context of a service.
        :param gates: their names.
        :param changed: whether they themselves are others now.
        :raises AdminRequired: if somebody else tells.
        """
        if not isinstance(gates, list) or not all(
            isinstance(gate, str) for gate in gates
        ):
            raise exception.InvalidMessage(reason='gates are not names')
        if type(changed) is not bool:
            raise exception.InvalidMessage(reason='changed is yes or no')
        self._peers.hint(gates, changed)

    @rpcbase.for_administrators('looking for a guest')
    def see(
        self,
        ctxt: Any,
        instance_uuid: str,
        versions: Mapping[str, str] | None = None,
    ) -> str:
        """Return what this host's hypervisor shows of a guest.

        :param ctxt: the request context of a service.
        :param instance_uuid: whose guest.
        :param versions: of the objects that the caller can read; not used.
        :returns: a value of compute.sight.Sight.
        :raises AdminRequired: if somebody else wants to know.
        :raises HypervisorAway: if the hypervisor does not say.
        """
        if not uuidutils.is_uuid_like(instance_uuid):
            raise exception.InvalidMessage(reason='instance_uuid is no UUID')
        return self._see(ctxt, instance_uuid)


def _read(kind: type[_Object], primitive: Any) -> Any:
    """Make a value of the core of plain data."""
    try:
        return rpcapi.read(kind, primitive).to_core()  # type: ignore
    except Exception as error:
        raise exception.InvalidMessage(
            reason=rpcbase.describe(error)
        ) from error
