# SPDX-License-Identifier: Apache-2.0

"""Ask a host's throttle, or tell it a new limit, over the message bus.

The half of the caller: see endpoint.py for the other. What crosses the bus is
plain data, which only we make objects of. Every failure reaches the caller as
one of our errors.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
from typing import Any
from typing import TypeVar

from nova import rpc
import oslo_messaging as messaging

from nova_throttle.agreement import messages
from nova_throttle import exception
from nova_throttle import hosts
from nova_throttle.objects import agreement
from nova_throttle.objects import base as objects_base
from nova_throttle.objects import snapshot as snapshot_obj

_Object = TypeVar('_Object', bound=objects_base.ThrottleObject)

NAMESPACE = 'nova_throttle'
TOPIC = 'compute'

# 2.0: get_snapshot, get_metrics, set_limit, ask, tell, report, see. What two
#   hosts tell each other names the gate. A host that speaks 1.x is one without
#   the product.
# 2.1: set_priority, hold, release, cancel, pause, resume, hint.
VERSION = '2.1'

# Seconds that a host may take to answer another: it does so at once.
PEER_TIMEOUT = 30.0

# Seconds until a message has to be on its way.
SEND_TIMEOUT = 10.0

# How often it is tried again while the bus is away: with RabbitMQ after 1, 3
# and 5 seconds. The library would try for ever, whatever the time-out.
SEND_RETRIES = 3

# What a host without our endpoint answers.
NOT_THROTTLED = (messaging.UnsupportedVersion, messaging.NoSuchMethod)


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

    def get_metrics(self, ctxt: Any) -> str:
        """Ask for the metrics of the host, in Prometheus' text format.

        :raises ThrottleError: if the host refused, or did not answer.
        """
        return str(self._line.call(ctxt, 'get_metrics'))

    def set_limit(
        self, ctxt: Any, gate: str, limit: int | str
    ) -> snapshot_obj.Snapshot:
        """Change the limit of a gate, at once.

        :param limit: slots; 0 is unlimited, and 'auto' finds it out.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'set_limit', gate=gate, limit=limit)

    def set_priority(
        self, ctxt: Any, migration_uuid: str, priority: str
    ) -> snapshot_obj.Snapshot:
        """Give a live migration that waits another priority.

        :param priority: the word of one, see admission.priority.
        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(
            ctxt,
            'set_priority',
            migration_uuid=migration_uuid,
            priority=priority,
        )

    def hold(self, ctxt: Any, migration_uuid: str) -> snapshot_obj.Snapshot:
        """Pass a queued live migration over until it is released.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'hold', migration_uuid=migration_uuid)

    def release(self, ctxt: Any, migration_uuid: str) -> snapshot_obj.Snapshot:
        """Let a live migration go on that was held.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'release', migration_uuid=migration_uuid)

    def cancel(self, ctxt: Any, migration_uuid: str) -> snapshot_obj.Snapshot:
        """Abort a queued live migration.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'cancel', migration_uuid=migration_uuid)

    def pause(self, ctxt: Any, reason: str = '') -> snapshot_obj.Snapshot:
        """Let nothing start to leave a host until it is resumed.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'pause', reason=reason)

    def resume(self, ctxt: Any) -> snapshot_obj.Snapshot:
        """Let what is queued on a host start again.

        :returns: what is true after the change.
        :raises ThrottleError: if the host refused, or did not answer.
        """
        return self._call(ctxt, 'resume')

    def _call(
        self, ctxt: Any, method: str, **args: Any
    ) -> snapshot_obj.Snapshot:
        return read(
            snapshot_obj.Snapshot, self._line.call(ctxt, method, **args)
        )


class HostAPI:
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
        return read(agreement.Tell, answer).to_core()

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
        return read(agreement.Ask, answer).to_core()

    def see(self, ctxt: Any, host: str, instance_uuid: str) -> str:
        """Ask a destination what its hypervisor shows of a guest.

        :returns: a value of compute.sight.Sight.
        :raises ThrottleError: if it refused, or did not answer.
        """
        line = _Line(host, '2.0', PEER_TIMEOUT)
        return str(line.call(ctxt, 'see', instance_uuid=instance_uuid))


def hint(ctxt: Any, gates: Sequence[str], changed: bool = False) -> None:
    """Tell all hosts of the cell that gates may have room; nobody answers.

    :param gates: names of gates of the cloud.
    :param changed: whether these gates themselves are others now.
    :raises ThrottleError: if it can't be sent.
    """
    client = rpc.get_client(
        messaging.Target(topic=TOPIC, namespace=NAMESPACE, version='2.1')
    )
    try:
        client.prepare(fanout=True, retry=SEND_RETRIES).cast(
            ctxt, 'hint', gates=list(gates), changed=changed
        )
    except Exception as error:
        raise exception.HostFailed(
            host='of this cell', error=type(error).__name__
        ) from error


class _Line:
    """The way to one host's endpoint.

    :param host: the host.
    :param version: of the endpoint, at least.
    :param timeout: seconds to wait for an answer.
    :raises InvalidHost: if that is no name of a host.
    """

    def __init__(
        self, host: str, version: str, timeout: float | None = None
    ) -> None:
        self._host = hosts.check_host(host)
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


def read(kind: type[_Object], primitive: Any) -> _Object:
    """Make an object of plain data that came over the bus."""
    found: _Object = kind.obj_from_primitive(primitive)
    return found
