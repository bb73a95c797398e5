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

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any
from typing import Protocol

from nova import rpc
from oslo_log import log as logging
import oslo_messaging as messaging

from nova_throttle.admission import controller
from nova_throttle import exception
from nova_throttle.objects import base as objects_base
from nova_throttle.objects import snapshot as snapshot_obj

LOG = logging.getLogger(__name__)

NAMESPACE = 'nova_throttle'
TOPIC = 'compute'

# 1.0: get_snapshot, set_limit
VERSION = '1.0'

# What a host without our endpoint answers.
NOT_THROTTLED = (messaging.UnsupportedVersion, messaging.NoSuchMethod)


class Manager(Protocol):
    """What the endpoint needs of a compute manager."""

    host: str
    throttle: controller.Controller


class ThrottleEndpoint:
    """The half in nova-compute.

    The public methods are what the bus calls.

    :param manager: the manager whose throttle is meant.
    """

    target = messaging.Target(namespace=NAMESPACE, version=VERSION)

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

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

    def _resize(self, gate: str, limit: int) -> None:
        # True is an int, and anything may come from the bus.
        if type(limit) is not int:
            raise exception.InvalidLimit(gate=gate, limit=limit)
        before = self._manager.throttle.snapshot().gates.get(gate)
        self._manager.throttle.resize(gate, limit)
        LOG.info(
            'the limit of gate %(gate)s was changed from %(old)s to %(new)s',
            {
                'gate': gate,
                'old': before.limit if before else None,
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
    """The half of the caller.

    ``nova.rpc`` must be initialised; if ``nova_throttle.exception`` is among
    its allowed modules, a refusal by the host carries its data as well.

    :param host: whose throttle is meant.
    :param timeout: seconds to wait for an answer; None means Nova's own
        ``rpc_response_timeout``.
    """

    def __init__(self, host: str, timeout: float | None = None) -> None:
        self._host = host
        self._client = rpc.get_client(
            messaging.Target(
                topic=TOPIC, server=host, namespace=NAMESPACE, version=VERSION
            )
        ).prepare(timeout=timeout)

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
        try:
            primitive = self._client.call(
                ctxt, method, versions=objects_base.versions(), **args
            )
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
        snapshot: snapshot_obj.Snapshot
        snapshot = snapshot_obj.Snapshot.obj_from_primitive(primitive, ctxt)
        return snapshot

    def _timeout(self) -> float:
        timeout: float | None = self._client.timeout
        if timeout is None:
            timeout = self._client.conf.rpc_response_timeout
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
