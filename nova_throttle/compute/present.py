# SPDX-License-Identifier: Apache-2.0


"""Whose a server is by now: asked before each write that follows a wait.

A migration is the present one of its server until the server is deleted, is
on another host, or has a migration that takes precedence. If it is not, only
what is the migration's own is given back.
"""

from collections.abc import Callable
import dataclasses
import enum
from typing import Any

from nova.compute import task_states
from nova.compute import vm_states
import nova.conf
from nova import exception as nova_exception
from nova import objects
from oslo_utils import timeutils

from nova_throttle.compute import border
from nova_throttle import exception
from nova_throttle import lifecycle

CONF = nova.conf.CONF

LIVE = 'live-migration'
EVACUATION = 'evacuation'

# What such a migration had changed of its server was changed back.
_UNDONE = frozenset({'error', 'failed', 'cancelled'})
_NOT_BEGUN = frozenset({'accepted', 'queued'})
_OVER = _UNDONE | {'completed', 'done', 'confirmed', 'reverted'}


_ATTRIBUTES = ['migration_context', 'info_cache', 'flavor']

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
    """

    migration: border.MigrationRecord
    instance: border.Instance
    successor: Any
    others: tuple[Any, ...]
    later: tuple[Any, ...]

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
                other.migration_type == EVACUATION
                and other.source_compute == self.migration.source_compute
                and other.status not in _UNDONE
                for other in self.later
            )
        )

    def has_arrived(self, host: str) -> bool:
        """Tell whether the server is on a host, or went on from there."""
        if self.instance is None or self.was_evacuated:
            return False
        return self.instance.host == host or any(
            other.source_compute == host and other.status not in _UNDONE
            for other in self.later
        )

    def rests_on(self, host: str) -> bool:
        """Tell whether the server is on a host, and no migration has it."""
        return (
            not is_deleted(self.instance)
            and self.instance.host == host
            and not self.others
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
        if deleting or any(map(_is_undecided, self.others)):
            raise exception.ServerInTransit(
                instance_uuid=self.migration.instance_uuid
            )
        return self


def read(
    context: border.Context,
    migration: border.MigrationRecord,
    state_of: StateOf = lambda uuid: None,
) -> Standing:
    """Read what has become of a migration and of its server.

    :param migration: its record, as it was known.
    :param state_of: how far the source has come with a migration, for a
        caller that knows.
    """
    records = _records(context, migration.instance_uuid)
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
    in_hand = state_of(migration.uuid) in lifecycle.IN_HAND
    outrank = [
        r
        for r in others
        if state_of(r.uuid) in lifecycle.IN_HAND
        or (
            (r in later or own is None and r.status not in _OVER)
            and r.status not in _UNDONE
            # While one is in hand, another request is refused.
            and not (in_hand and _is_request(r))
        )
    ]
    return Standing(
        migration=migration,
        instance=find_instance(context, migration.instance_uuid),
        successor=outrank[-1] if outrank else None,
        others=tuple(
            _known(r, state_of) for r in others if r.status not in _OVER
        ),
        later=tuple(later),
    )


def find_instance(context: border.Context, uuid: str) -> Any:
    """Read a server; None if it was deleted."""
    try:
        return objects.Instance.get_by_uuid(
            context, uuid, expected_attrs=_ATTRIBUTES
        )
    except nova_exception.InstanceNotFound:
        return None


def is_deleted(instance: border.Instance) -> bool:
    """Tell whether a server that was looked for is deleted, or nearly so."""
    return (
        instance is None
        or instance.vm_state == vm_states.DELETED
        or instance.task_state == task_states.DELETING
    )


def make_migrating(instance: border.Instance) -> None:
    """Let Nova end a migration of a server whose state was reset.

    :raises UnexpectedTaskStateError: if somebody does something with it.
    """
    if instance.task_state is None:
        found = objects.Instance.get_by_uuid(instance._context, instance.uuid)
        found.task_state = task_states.MIGRATING
        found.save(expected_task_state=[None])


def comes_to(
    context: border.Context, instance: border.Instance, host: str
) -> bool:
    """Tell whether the server's present migration is one to a host.

    A later request that has not begun changes nothing: where the server is,
    an earlier one may still decide.
    """
    records = _records(context, instance.uuid)
    begun = [r for r in records if r.status not in _NOT_BEGUN]
    standing = [r for r in begun if r.status not in _UNDONE] or records
    return bool(standing) and (
        standing[-1].dest_compute == host
        and instance.host in (host, standing[-1].source_compute)
    )


def may_undo(
    context: border.Context,
    host: str,
    instance_uuid: str,
    migrate_data: border.MigrateData,
) -> bool:
    """Tell whether what a host prepared for a migration may be undone.

    :param migrate_data: names the migration, unless it is of old.
    """
    instance = find_instance(context, instance_uuid)
    if instance is None:
        return True
    if instance.host == host:
        return False
    uuid = migration_uuid(migrate_data)
    return uuid is None or not any(
        r.dest_compute == host and r.uuid != uuid and r.status not in _OVER
        for r in _records(context, instance_uuid)
        if r.status != 'queued'
    )


def migration_uuid(migrate_data: border.MigrateData) -> str | None:
    """Return the migration that migrate_data is of, if it says so."""
    if migrate_data is None or 'migration' not in migrate_data:
        return None
    uuid: str = migrate_data.migration.uuid
    return uuid


def _records(context: border.Context, instance_uuid: str) -> list[Any]:
    found = objects.MigrationList.get_by_filters(
        context, {'instance_uuid': instance_uuid}
    )
    return sorted(found, key=lambda record: record.id)


def _is_request(record: border.MigrationRecord) -> bool:
    return bool(record.migration_type == LIVE and record.status not in _OVER)


def _known(record: border.MigrationRecord, state_of: StateOf) -> Any:
    if record.status == 'accepted' and state_of(record.uuid) is not None:
        # It has come to its source, which has not said so yet.
        record.status = 'queued'
        record.obj_reset_changes(['status'])
    return record


def _is_undecided(record: border.MigrationRecord) -> bool:
    """Tell whether it is not known where a migration will go.

    A request may still be in the hands of the conductor; and an evacuation
    that fails leaves the server where it was.
    """
    return (
        (record.migration_type == EVACUATION or record.status == 'accepted')
        # A service that died leaves it so for ever.
        and not timeutils.is_older_than(
            record.created_at, CONF.long_rpc_timeout
        )
    )
