# SPDX-License-Identifier: Apache-2.0

"""The half of our RPC interface in nova-compute.

Anything may come over a bus. What cannot be read changes nothing, and its
sender gets an error of ours.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import functools
import inspect
import re
import reprlib
from typing import Any
from typing import Protocol
from typing import TypeVar

from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_utils import uuidutils

from nova_throttle.admission import controller
from nova_throttle.agreement import messages
from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.objects import agreement
from nova_throttle.objects import base as objects_base
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle import refusal
from nova_throttle import rpcapi

LOG = logging.getLogger(__name__)

_Method = TypeVar('_Method', bound=Callable[..., Any])
_Object = TypeVar('_Object', bound=objects_base.ThrottleObject)

_VERSION = re.compile(r'\d+\.\d+')


class Manager(Protocol):
    """What the endpoint needs of a compute manager."""

    host: str
    throttle: controller.Controller


class Negotiation(Protocol):
    """What the endpoint needs of the agreement with other hosts."""

    def hear(self, ask: messages.Ask) -> messages.Tell | None: ...

    def receive(self, tell: messages.Tell) -> None: ...

    def report(self, destination: str, incarnation: int) -> messages.Ask: ...


def _for_administrators(action: str) -> Callable[[_Method], _Method]:
    """Let a method be called with anything by anybody.

    :param action: what it does, for who may not do that.
    """

    def decorate(method: _Method) -> _Method:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def called(self: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
            sender = _sender(ctxt, args, kwargs)
            with self._refusals.of(method.__name__, sender):
                if not ctxt.is_admin:
                    raise exception.AdminRequired(action=action)
                try:
                    bound = signature.bind(self, ctxt, *args, **kwargs)
                except TypeError as error:
                    raise exception.InvalidMessage(reason=error) from error
                _check_versions(bound.arguments.get('versions'))
                return method(self, ctxt, *args, **kwargs)

        return called  # type: ignore[return-value]

    return decorate


class ThrottleEndpoint:
    """What the bus calls: the public methods.

    Each raises ExpectedException of the errors that it names, and of
    InvalidMessage for an argument that cannot be read.

    :param manager: the manager whose throttle is meant.
    :param peers: the agreement of its host with others.
    :param see: tells what the hypervisor shows of the guest of a server.
    :param migrations: returns those of this host that are not over.
    :param metrics: returns the metrics of this host as text.
    """

    target = messaging.Target(
        namespace=rpcapi.NAMESPACE, version=rpcapi.VERSION
    )

    def __init__(
        self,
        manager: Manager,
        peers: Negotiation,
        see: Callable[[Any, str], str],
        migrations: Callable[[], Iterable[lifecycle.View]] = tuple,
        metrics: Callable[[], str] = str,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._see = see
        self._migrations = migrations
        self._metrics = metrics
        self._refusals = refusal.Refusals()

    @_for_administrators('seeing the queue')
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

    @_for_administrators('seeing the metrics')
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

    @_for_administrators('changing a limit')
    def set_limit(
        self,
        ctxt: Any,
        gate: str,
        limit: int,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Change the limit of a gate, at once.

        :param ctxt: the request context of an administrator.
        :param gate: the gate's name.
        :param limit: slots; 0 is unlimited.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        :raises UnknownGate: if there is no such gate.
        :raises InvalidLimit: if the limit is not a number of slots.
        """
        # True is an int, and anything may come from the bus.
        if type(limit) is not int:
            raise exception.InvalidLimit(gate=gate, limit=limit)
        if not isinstance(gate, str):
            raise exception.UnknownGate(gate=reprlib.repr(gate))
        before = self._manager.throttle.gate(gate).limit
        self._manager.throttle.resize(gate, limit)
        LOG.info(
            'the limit of gate %(gate)s was changed from %(old)s to %(new)s',
            {'gate': gate, 'old': before, 'new': limit},
        )
        return self._snapshot(versions)

    @_for_administrators('asking for slots')
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
        rpcapi.check_host(heard.source)
        tell = self._peers.hear(heard)
        if tell is None:
            return None
        return _dump(agreement.Tell.from_core(tell), versions)

    @_for_administrators('offering slots')
    def tell(self, ctxt: Any, tell: Mapping[str, Any]) -> None:
        """Take up what a destination tells of its slots.

        :param ctxt: the request context of a service.
        :param tell: a Tell as plain data.
        :raises AdminRequired: if somebody else tells.
        """
        told: messages.Tell = _read(agreement.Tell, tell)
        rpcapi.check_host(told.destination)
        self._peers.receive(told)

    @_for_administrators('reporting requests')
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
        ask = self._peers.report(rpcapi.check_host(destination), incarnation)
        return _dump(agreement.Ask.from_core(ask), versions)

    @_for_administrators('looking for a guest')
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

    def _snapshot(self, versions: Mapping[str, str] | None) -> dict[str, Any]:
        value = self._manager.throttle.snapshot()
        return _dump(
            snapshot_obj.Snapshot.from_core(
                self._manager.host, value, self._migrations()
            ),
            versions,
        )


def _read(kind: type[_Object], primitive: Any) -> Any:
    """Make a value of the core of plain data."""
    try:
        return rpcapi.read(kind, primitive).to_core()  # type: ignore
    except Exception as error:
        raise exception.InvalidMessage(reason=_describe(error)) from error


def _dump(
    thing: objects_base.ThrottleObject, versions: Mapping[str, str] | None
) -> dict[str, Any]:
    """Make plain data that the caller can read."""
    try:
        return objects_base.to_primitive(thing, versions)
    except Exception as error:
        # We cannot make a version as old as that.
        raise exception.InvalidMessage(reason=_describe(error)) from error


def _check_versions(versions: Any) -> None:
    if versions is None:
        return
    if not isinstance(versions, Mapping) or not all(
        isinstance(version, str) and _VERSION.fullmatch(version)
        for version in versions.values()
    ):
        raise exception.InvalidMessage(reason='versions are not versions')


def _describe(error: Exception) -> str:
    return f'{type(error).__name__}: {reprlib.repr(str(error))}'


def _sender(
    ctxt: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str:
    """Name who sent a message, as far as it says so."""
    for value in (*args, *kwargs.values()):
        data = value.get('nova_throttle_object.data') if _is_map(value) else {}
        for name in ('source', 'destination'):
            if _is_map(data) and name in data:
                return f'host {reprlib.repr(data[name])}'
    if 'destination' in kwargs:
        return f'host {reprlib.repr(kwargs["destination"])}'
    return f'user {reprlib.repr(ctxt.user_id)}'


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)
