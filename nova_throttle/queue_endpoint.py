# SPDX-License-Identifier: Apache-2.0

"""What an operator may do with the queue of a host, over the bus.

Each change is one line of the audit, and is answered with what is true after
it.
"""

from collections.abc import Callable
from collections.abc import Mapping
import textwrap
from typing import Any
from typing import Protocol

from oslo_utils import uuidutils

from nova_throttle.admission import priority as priority_lib
from nova_throttle import audit
from nova_throttle import exception
from nova_throttle import rpcbase

Priority = priority_lib.Priority

_BY_WORD = {each.word: each for each in Priority}

# The longest reason of a pause, in characters.
LONGEST = 200


class Control(Protocol):
    """What can be done with the queue of a host."""

    def prioritize(self, migration_uuid: str, priority: Priority) -> int: ...

    def hold(self, migration_uuid: str, held: bool) -> None: ...

    def cancel(self, ctxt: Any, migration_uuid: str) -> None: ...

    def pause(self, reason: str, request_id: str, user: str) -> None: ...

    def resume(self) -> None: ...


class QueueEndpoint(rpcbase.Endpoint):
    """Changes the queue of a host.

    :param manager: the manager whose queue is meant.
    :param control: does what is wanted.
    :param shown: what there is to see; see the base.
    """

    def __init__(
        self,
        manager: rpcbase.Manager,
        control: Control,
        **shown: Callable[[], Any],
    ) -> None:
        super().__init__(manager, **shown)
        self._control = control

    @rpcbase.for_administrators('changing a priority')
    def set_priority(
        self,
        ctxt: Any,
        migration_uuid: str,
        priority: str,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Give a live migration that waits another priority.

        :param ctxt: the request context of an administrator.
        :param migration_uuid: which one.
        :param priority: the word of a Priority.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        :raises InvalidPriority: if there is no such priority.
        :raises UnknownMigration: if this host has no such migration.
        :raises NotWaiting: if it is not queued.
        """
        _check_uuid(migration_uuid)
        # Anything may come, also what cannot be a key.
        if not isinstance(priority, str) or priority not in _BY_WORD:
            raise exception.InvalidPriority(priority=priority)
        before = self._control.prioritize(migration_uuid, _BY_WORD[priority])
        audit.note(
            ctxt,
            f'the priority of live migration {migration_uuid} was changed '
            f'from {priority_lib.word(before)} to {priority}',
        )
        return self._snapshot(versions)

    @rpcbase.for_administrators('holding a live migration')
    def hold(
        self,
        ctxt: Any,
        migration_uuid: str,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Pass a queued live migration over until it is released.

        :param ctxt: the request context of an administrator.
        :param migration_uuid: which one.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        :raises UnknownMigration: if this host has no such migration.
        :raises NotWaiting: if it is not queued.
        """
        self._hold(migration_uuid, True)
        audit.note(ctxt, f'live migration {migration_uuid} was held')
        return self._snapshot(versions)

    @rpcbase.for_administrators('releasing a live migration')
    def release(
        self,
        ctxt: Any,
        migration_uuid: str,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Let a live migration that was held go on; see hold()."""
        self._hold(migration_uuid, False)
        audit.note(ctxt, f'live migration {migration_uuid} was released')
        return self._snapshot(versions)

    @rpcbase.for_administrators('cancelling a live migration')
    def cancel(
        self,
        ctxt: Any,
        migration_uuid: str,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Abort a queued live migration as Nova does it.

        :param ctxt: the request context of an administrator.
        :param migration_uuid: which one.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        :raises UnknownMigration: if this host has no such migration.
        :raises NotWaiting: if it is not queued.
        """
        _check_uuid(migration_uuid)
        self._control.cancel(ctxt, migration_uuid)
        audit.note(ctxt, f'live migration {migration_uuid} was cancelled')
        return self._snapshot(versions)

    @rpcbase.for_administrators('pausing the queue')
    def pause(
        self,
        ctxt: Any,
        reason: str,
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Let nothing start to leave this host until resume().

        :param ctxt: the request context of an administrator.
        :param reason: why, for who looks; may be empty.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        """
        if not isinstance(reason, str):
            raise exception.InvalidMessage(reason='reason is no text')
        reason = textwrap.shorten(reason, LONGEST, placeholder='...')
        self._control.pause(reason, ctxt.request_id, audit.user_of(ctxt))
        audit.note(ctxt, f'the queue was paused: {reason or "no reason"}')
        return self._snapshot(versions)

    @rpcbase.for_administrators('resuming the queue')
    def resume(
        self, ctxt: Any, versions: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Let what is queued start again.

        :param ctxt: the request context of an administrator.
        :param versions: of the objects that the caller can read.
        :returns: a Snapshot after the change, as plain data.
        :raises AdminRequired: if somebody else asks.
        """
        self._control.resume()
        audit.note(ctxt, 'the queue was resumed')
        return self._snapshot(versions)

    def _hold(self, migration_uuid: str, held: bool) -> None:
        _check_uuid(migration_uuid)
        self._control.hold(migration_uuid, held)


def _check_uuid(migration_uuid: Any) -> None:
    if not isinstance(migration_uuid, str) or not uuidutils.is_uuid_like(
        migration_uuid
    ):
        raise exception.InvalidMessage(reason='migration_uuid is no UUID')
