# SPDX-License-Identifier: Apache-2.0

"""What our endpoints have in common.

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

import oslo_messaging as messaging

from nova_throttle.agreement import controller
from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.objects import base as objects_base
from nova_throttle.objects import pause as pause_obj
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle import refusal
from nova_throttle import rpcapi

_Method = TypeVar('_Method', bound=Callable[..., Any])

_VERSION = re.compile(r'\d+\.\d+')


class Manager(Protocol):
    """What the endpoint needs of a compute manager."""

    host: str
    throttle: controller.HostController


def for_administrators(action: str) -> Callable[[_Method], _Method]:
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


class Endpoint:
    """What the bus calls: the public methods.

    Each raises ExpectedException of the errors that it names, and of
    InvalidMessage for an argument that cannot be read.

    :param manager: the manager whose throttle is meant.
    :param migrations: returns those of this host that are not over.
    :param pause: returns why the queue of this host is paused, if it is.
    """

    target = messaging.Target(
        namespace=rpcapi.NAMESPACE, version=rpcapi.VERSION
    )

    def __init__(
        self,
        manager: Manager,
        migrations: Callable[[], Iterable[lifecycle.View]] = tuple,
        pause: Callable[[], pause_obj.Pause | None] = lambda: None,
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._pause = pause
        self._refusals = refusal.Refusals()

    def _snapshot(self, versions: Mapping[str, str] | None) -> dict[str, Any]:
        value = self._manager.throttle.snapshot()
        return dump(
            snapshot_obj.Snapshot.from_core(
                self._manager.host, value, self._migrations(), self._pause()
            ),
            versions,
        )


def dump(
    thing: objects_base.ThrottleObject, versions: Mapping[str, str] | None
) -> dict[str, Any]:
    """Make plain data that the caller can read."""
    try:
        return objects_base.to_primitive(thing, versions)
    except Exception as error:
        # We cannot make a version as old as that.
        raise exception.InvalidMessage(reason=describe(error)) from error


def _check_versions(versions: Any) -> None:
    if versions is None:
        return
    if not isinstance(versions, Mapping) or not all(
        isinstance(version, str) and _VERSION.fullmatch(version)
        for version in versions.values()
    ):
        raise exception.InvalidMessage(reason='versions are not versions')


def describe(error: Exception) -> str:
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
