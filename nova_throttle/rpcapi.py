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

"""Ask a host's throttle, or tell it a new limit, over the message bus.

Both halves of one interface. What crosses the bus is plain data, which only
we make objects of. Every failure reaches the caller as one of our errors.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any
from typing import Protocol
from typing import TypeVar

from nova import rpc
from oslo_log import log as logging
import oslo_messaging as messaging

from nova_throttle.admission import controller
from nova_throttle.agreement import messages
from nova_throttle import exception
from nova_throttle.objects import agreement
from nova_throttle.objects import base as objects_base
from nova_throttle.objects import snapshot as snapshot_obj

LOG = logging.getLogger(__name__)

_Object = TypeVar('_Object', bound=objects_base.ThrottleObject)

NAMESPACE = 'nova_throttle'
TOPIC = 'compute'

# 2.0: get_snapshot, set_limit, ask, tell, report, see. What two hosts tell
#   each other names the gate. A host that speaks 1.x is one without the
#   product.
VERSION = '2.0'

# Seconds that a host may take to answer another: it does so at once.
PEER_TIMEOUT = 30.0

# Seconds until a message has to be on its way.
SEND_TIMEOUT = 10.0

# How often it is tried again while the bus is away: with RabbitMQ after 1, 3
# and 5 seconds. The library would try for ever, whatever the time-out.
SEND_RETRIES = 3

# What a host without our endpoint answers.
NOT_THROTTLED = (messaging.UnsupportedVersion, messaging.NoSuchMethod)


class Manager(Protocol):
    """What the endpoint needs of a compute manager."""

    host: str
    throttle: controller.Controller


class Peers(Protocol):
    """What the endpoint needs of the agreement with other hosts."""

    def hear(self, ask: messages.Ask) -> messages.Tell | None: ...

    def receive(self, tell: messages.Tell) -> None: ...

    def report(self, destination: str, incarnation: int) -> messages.Ask: ...


class ThrottleEndpoint:
    """The half in nova-compute.

    The public methods are what the bus calls.

    :param manager: the manager whose throttle is meant.
    :param peers: the agreement of its host with others.
    :param see: tells what the hypervisor shows of the guest of a server.
    """

    target = messaging.Target(namespace=NAMESPACE, version=VERSION)

    def __init__(
        self,
        manager: Manager,
        peers: Peers,
        see: Callable[[Any, str], str],
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._see = see

    def get_snapshot(
        self, ctxt: Any, versions: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return what is true at this instant.

        :param ctxt: the request context of an administrator.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot as plain data.
        :raises AdminRequired: if somebody else asks.
        """
        with _refusal('get_snapshot'):
            _check_admin(ctxt, 'seeing the queue')
        return self._snapshot(versions)

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
        with _refusal('set_limit'):
            _check_admin(ctxt, 'changing a limit')
            self._resize(gate, limit)
        return self._snapshot(versions)

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
        """
        with _refusal('ask'):
            _check_admin(ctxt, 'asking for slots')
        tell = self._peers.hear(_read(agreement.Ask, ask).to_core())
        if tell is None:
            return None
        return objects_base.to_primitive(
            agreement.Tell.from_core(tell), versions
        )

    def tell(self, ctxt: Any, tell: Mapping[str, Any]) -> None:
        """Take up what a destination tells of its slots.

        :param ctxt: the request context of a service.
        :param tell: a Tell as plain data.
        :raises AdminRequired: if somebody else tells.
        """
        with _refusal('tell'):
            _check_admin(ctxt, 'offering slots')
        self._peers.receive(_read(agreement.Tell, tell).to_core())

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
        with _refusal('report'):
            _check_admin(ctxt, 'reporting requests')
        ask = self._peers.report(destination, incarnation)
        return objects_base.to_primitive(
            agreement.Ask.from_core(ask), versions
        )

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
        with _refusal('see'):
            _check_admin(ctxt, 'looking for a guest')
            return self._see(ctxt, instance_uuid)

    def _resize(self, gate: str, limit: int) -> None:
        # True is an int, and anything may come from the bus.
        if type(limit) is not int:
            raise exception.InvalidLimit(gate=gate, limit=limit)
        before = self._manager.throttle.gate(gate).limit
        self._manager.throttle.resize(gate, limit)
        LOG.info(
            'the limit of gate %(gate)s was changed from %(old)s to %(new)s',
            {
                'gate': gate,
                'old': before,
                'new': limit,
            },
        )

    def _snapshot(self, versions: Mapping[str, str] | None) -> dict[str, Any]:
        value = self._manager.throttle.snapshot()
        return objects_base.to_primitive(
            snapshot_obj.Snapshot.from_core(self._manager.host, value),
            versions,
        )


class ThrottleAPI:
    """The half of the operator.

    ``nova.rpc`` must be initialised; if ``nova_throttle.exception`` is among
    its allowed modules, a refusal by the host carries its data as well.

    :param host: whose throttle is meant.
    :param timeout: seconds to wait for an answer; None means Nova's own
        ``rpc_response_timeout``.
    :param version: of its endpoint, at least.
    """

    def __init__(
        self, host: str, timeout: float | None = None, version: str = '2.0'
    ) -> None:
        self._line = _Line(host, version, timeout)

    def get_snapshot(self, ctxt: Any) -> snapshot_obj.Snapshot:
        """Ask what is true at this instant.

        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'get_snapshot')

    def set_limit(
        self, ctxt: Any, gate: str, limit: int
    ) -> snapshot_obj.Snapshot:
        """Change the limit of a gate, at once.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'set_limit', gate=gate, limit=limit)

    def _call(
        self, ctxt: Any, method: str, **args: Any
    ) -> snapshot_obj.Snapshot:
        return _read(
            snapshot_obj.Snapshot, self._line.call(ctxt, method, **args)
        )


class PeerAPI:
    """The half of another host's service.

    ``nova.rpc`` must be initialised when a method is called.
    """

    def ask(
        self, ctxt: Any, host: str, value: messages.Ask
    ) -> messages.Tell | None:
        """Tell a destination of requests for it.

        :returns: its answer; None if none was wanted.
        :raises ThrottleError: if it refused, or did not answer.
        """
        line = _Line(host, '2.0', PEER_TIMEOUT)
        ask = objects_base.to_primitive(agreement.Ask.from_core(value))
        if not value.wants_answer:
            line.cast(ctxt, 'ask', ask=ask)
            return None
        answer = line.call(ctxt, 'ask', ask=ask)
        return _read(agreement.Tell, answer).to_core()

    def tell(self, ctxt: Any, host: str, value: messages.Tell) -> None:
        """Tell a source of slots for it; nobody answers.

        :raises ThrottleError: if it can't be sent.
        """
        tell = objects_base.to_primitive(agreement.Tell.from_core(value))
        _Line(host, '2.0').cast(ctxt, 'tell', tell=tell)

    def report(
        self, ctxt: Any, host: str, destination: str, incarnation: int
    ) -> messages.Ask:
        """Ask a source for all that it has for a destination.

        :raises ThrottleError: if it refused, or did not answer.
        """
        line = _Line(host, '2.0', PEER_TIMEOUT)
        answer = line.call(
            ctxt, 'report', destination=destination, incarnation=incarnation
        )
        return _read(agreement.Ask, answer).to_core()

    def see(self, ctxt: Any, host: str, instance_uuid: str) -> str:
        """Ask a destination what its hypervisor shows of a guest.

        :returns: a value of compute.sight.Sight.
        :raises ThrottleError: if it refused, or did not answer.
        """
        line = _Line(host, '2.0', PEER_TIMEOUT)
        return str(line.call(ctxt, 'see', instance_uuid=instance_uuid))


class _Line:
    """The way to one host's endpoint.

    :param host: the host.
    :param version: of the endpoint, at least.
    :param timeout: seconds to wait for an answer.
    """

    def __init__(
        self, host: str, version: str, timeout: float | None = None
    ) -> None:
        self._host = host
        self._wait = timeout
        self._client = rpc.get_client(
            messaging.Target(
                topic=TOPIC, server=host, namespace=NAMESPACE, version=version
            )
        )

    def call(self, ctxt: Any, method: str, **args: Any) -> Any:
        """Call a method and return its answer.

        :raises ThrottleError: if the host refused, or did not answer.
        """
        with self._errors():
            return self._client.prepare(
                timeout=self._wait, retry=SEND_RETRIES
            ).call(ctxt, method, versions=objects_base.versions(), **args)

    def cast(self, ctxt: Any, method: str, **args: Any) -> None:
        """Call a method and do not wait.

        :raises ThrottleError: if the message can't be sent.
        """
        with self._errors():
            # The limit is for buses that do wait, such as a test's.
            self._client.prepare(
                timeout=SEND_TIMEOUT, retry=SEND_RETRIES
            ).cast(ctxt, method, **args)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except messaging.MessagingTimeout as error:
            raise exception.HostSilent(
                host=self._host, timeout=self._timeout()
            ) from error
        except NOT_THROTTLED as error:
            raise exception.HostNotThrottled(host=self._host) from error
        except exception.ThrottleError:
            raise
        except Exception as error:
            raise self._translate(error) from error

    def _timeout(self) -> float:
        if self._wait is not None:
            return self._wait
        timeout: float = self._client.conf.rpc_response_timeout
        return timeout

    def _translate(self, error: Exception) -> exception.ThrottleError:
        """Make one of our errors of any other.

        The library builds a remote error again only if its module was
        allowed when the transport was made; of others it tells the name.
        """
        name = getattr(error, 'exc_type', None) or type(error).__name__
        text = getattr(error, 'value', None) or str(error)
        if name in [each.__name__ for each in NOT_THROTTLED]:
            return exception.HostNotThrottled(host=self._host)
        found = getattr(exception, name, None)
        if isinstance(found, type) and issubclass(
            found, exception.ThrottleError
        ):
            return found(text)
        # The lines after the first are the remote traceback.
        reason = ': '.join([name, *text.splitlines()[:1]])
        return exception.HostFailed(host=self._host, error=reason)


def _read(kind: type[_Object], primitive: Any) -> _Object:
    """Make an object of plain data that came over the bus."""
    found: _Object = kind.obj_from_primitive(primitive)
    return found


def _check_admin(ctxt: Any, action: str) -> None:
    if not ctxt.is_admin:
        raise exception.AdminRequired(action=action)


@contextlib.contextmanager
def _refusal(method: str) -> Iterator[None]:
    """Make one line of a refusal: it is the caller's mistake, not ours.

    :raises ExpectedException: which the library sends to the caller as our
        error, and does not log with a traceback.
    """
    try:
        yield
    except exception.ThrottleError as error:
        LOG.info(
            '%(method)s was refused: %(error)s',
            {'method': method, 'error': error},
        )
        raise messaging.ExpectedException() from error
