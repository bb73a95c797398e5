# SPDX-License-Identifier: Apache-2.0

"""Whose a server is, by what the records say of it and of its migrations.

A migration is the present one of its server until the server is deleted, is
on another host, or has a migration that takes precedence.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import enum
from typing import Any

from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.outcome import words

# What such a migration had changed of its server was changed back.
UNDONE = frozenset({'error', 'failed', 'cancelled'})
_NOT_BEGUN = frozenset({'accepted', 'queued'})
_OVER = UNDONE | {'completed', 'done', 'confirmed', 'reverted'}

# Tells how far this host has come with a migration; None if it has it not.
StateOf = Callable[[str], lifecycle.State | None]


class State(enum.Enum):
    """What has become of the server of a migration."""

    OURS = 'ours'
    DELETED = 'deleted'
    MOVED = 'moved'
    SUPERSEDED = 'superseded'


@dataclasses.dataclass(frozen=True)
class Standing:
    """What the records say of a migration and its server now.

    :param migration: the record, as it was known.
    :param instance: the server; None if it was deleted.
    :param successor: the migration that takes precedence, if one does.
    :param others: the other migrations of the server that are not over.
    :param later: those that were asked for later, over or not.
    :param earlier: those that were asked for before it.
    :param in_transit: whether it is not known where another one will go.
    """

    migration: Any
    instance: Any
    successor: Any
    others: tuple[Any, ...]
    later: tuple[Any, ...]
    earlier: tuple[Any, ...] = ()
    in_transit: bool = False

    @property
    def state(self) -> State:
        """What has become of the server."""
        if is_deleted(self.instance):
            return State.DELETED
        if self.successor is not None:
            return State.SUPERSEDED
        if self.instance.host != self.migration.source_compute:
            return State.MOVED
        return State.OURS

    @property
    def is_ours(self) -> bool:
        """Whether the server is this migration's, and on its source."""
        return self.state is State.OURS

    @property
    def reason(self) -> exception.ThrottleError:
        """Why the server is not this migration's."""
        uuid = self.migration.instance_uuid
        if self.state is State.DELETED:
            return exception.InstanceGone(instance_uuid=uuid)
        if self.state is State.SUPERSEDED:
            return exception.Superseded(
                instance_uuid=uuid, migration_uuid=self.successor.uuid
            )
        return exception.InstanceMoved(
            instance_uuid=uuid, host=self.instance.host
        )

    @property
    def is_at_source(self) -> bool:
        """Whether the server is on the source, whoever's it is."""
        return (
            self.instance is not None
            and self.instance.host == self.migration.source_compute
        )

    @property
    def was_evacuated(self) -> bool:
        """Whether the server was taken from a source that was dead."""
        return (
            self.instance is not None
            and not self.is_at_source
            and any(
                other.migration_type == words.EVACUATION
                and other.source_compute == self.migration.source_compute
                and other.status not in UNDONE
                for other in self.later
            )
        )

    @property
    def heir(self) -> str | None:
        """Who gets what this migration has allocated of the source, if any."""
        successor = self.successor
        if not self.is_at_source:
            return None
        if successor is None or successor not in self.others:
            uuid: str = self.instance.uuid
            return uuid
        if successor.migration_type == words.LIVE:
            uuid = successor.uuid
            return uuid
        return None

    def has_arrived(self, host: str) -> bool:
        """Tell whether the server is on a host, or went on from there."""
        if self.instance is None or self.was_evacuated:
            return False
        return self.instance.host == host or any(
            # It can have gone on from there only after it had arrived.
            other.source_compute == host and other.status not in UNDONE
            for other in self.later
        )

    def rests_on(self, host: str) -> bool:
        """Tell whether the server is on a host, and no migration has it.

        One before this may be open still: its source cleans up.
        """
        return (
            not is_deleted(self.instance)
            and self.instance.host == host
            and not any(other not in self.earlier for other in self.others)
        )

    def uses(self, host: str) -> bool:
        """Tell whether the server is on a host, or on its way from or to."""
        return self.instance is not None and (
            self.instance.host == host
            or any(
                host in (other.source_compute, other.dest_compute)
                for other in self.others
            )
        )

    def decided(self) -> 'Standing':
        """Return this, once nobody is about to change it.

        :raises ServerInTransit: if it is not known yet where another
            migration will go, or the server is being deleted.
        """
        deleting = self.instance is not None and self.state is State.DELETED
        if deleting or self.in_transit:
            raise exception.ServerInTransit(
                instance_uuid=self.migration.instance_uuid
            )
        return self


def weigh(
    migration: Any,
    instance: Any,
    records: Sequence[Any],
    state_of: StateOf,
    is_recent: Callable[[Any], bool],
) -> Standing:
    """Weigh what the records say.

    :param migration: the record, as it was known.
    :param instance: the server; None if it was deleted.
    :param records: all of its migrations, in the order of their ids.
    :param state_of: how far the source has come with a migration.
    :param is_recent: whether somebody may still work on a migration that no
        host has.
    """
    own = next((r for r in records if r.uuid == migration.uuid), None)
    # One that leaves takes no precedence, whatever its record says.
    others = [
        r
        for r in records
        if r.uuid != migration.uuid
        and state_of(r.uuid) not in lifecycle.LEAVING
    ]
    # Of records that are there, a later one has the greater id, also where
    # ids of purged ones are given again.
    later = [r for r in others if own is not None and r.id > own.id]
    outrank = _outrank(migration, others, later, own is None, state_of)
    undone = [r for r in others if r.status not in _OVER]
    return Standing(
        migration=migration,
        instance=instance,
        successor=outrank[-1] if outrank else None,
        others=tuple(undone),
        later=tuple(later),
        earlier=tuple(r for r in others if own is not None and r.id < own.id),
        in_transit=any(
            _is_undecided(r, state_of) and is_recent(r) for r in undone
        ),
    )


def _outrank(
    migration: Any,
    others: list[Any],
    later: list[Any],
    is_purged: bool,
    state_of: StateOf,
) -> list[Any]:
    in_hand = state_of(migration.uuid) in lifecycle.IN_HAND
    return [
        r
        for r in others
        if state_of(r.uuid) in lifecycle.IN_HAND
        or (
            (r in later or is_purged and r.status not in _OVER)
            and r.status not in UNDONE
            # While one is in hand, another request is refused.
            and not (in_hand and _is_request(r))
        )
    ]


def is_deleted(instance: Any) -> bool:
    """Tell whether a server that was looked for is deleted, or nearly so."""
    return (
        instance is None
        or instance.vm_state == words.DELETED
        or instance.task_state == words.DELETING
    )


def comes_to(records: Sequence[Any], instance: Any, host: str) -> bool:
    """Tell whether the server's present migration is one to a host.

    A later request that has not begun changes nothing: where the server is,
    an earlier one may still decide. One that was asked for on this host shows
    that this is decided.

    :param records: all of its migrations, in the order of their ids.
    """
    if instance.host == host and any(
        r.source_compute == host and r.status in _NOT_BEGUN for r in records
    ):
        return False
    begun = [r for r in records if r.status not in _NOT_BEGUN]
    present = [r for r in begun if r.status not in UNDONE] or records
    return bool(present) and (
        present[-1].dest_compute == host
        and instance.host in (host, present[-1].source_compute)
    )


def may_undo(
    records: Sequence[Any], instance: Any, host: str, uuid: str | None
) -> bool:
    """Tell whether what a host prepared for a migration may be undone.

    :param uuid: which migration; None if that is not known.
    """
    if instance is None:
        return True
    # What was prepared is what its guest uses.
    if instance.host == host:
        return False
    return uuid is None or not any(
        r.dest_compute == host and r.uuid != uuid and r.status not in _OVER
        for r in records
        if r.status != 'queued'
    )


def _is_request(record: Any) -> bool:
    return bool(
        record.migration_type == words.LIVE and record.status not in _OVER
    )


def _is_undecided(record: Any, state_of: StateOf) -> bool:
    """Tell whether it is not known where a migration will go.

    A request may still be in the hands of the conductor, unless it has come
    to its source; and an evacuation that fails leaves the server where it
    was.
    """
    if record.status == 'accepted':
        return state_of(record.uuid) is None
    return bool(record.migration_type == words.EVACUATION)
