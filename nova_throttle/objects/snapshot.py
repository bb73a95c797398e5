# SPDX-License-Identifier: Apache-2.0

"""A snapshot of the admission, as it crosses the wire.

Each object mirrors one frozen value of the core, field by field. Whoever
changes a field raises the version and says how to make the older one.
"""

from collections.abc import Iterable
from typing import Any

from oslo_versionedobjects import fields

from nova_throttle.admission import snapshot as core
from nova_throttle import lifecycle
from nova_throttle.objects import base
from nova_throttle.objects import core_object
from nova_throttle.objects import pause as pause_obj
from nova_throttle.transfer import progress as progress_lib

# Of a Wait of version 1.1: an older reader refuses what it can't name.
_NEW_REASONS = (core.WaitReason.ASKING.value, core.WaitReason.SILENT.value)
# And of 1.3.
_FAULTS = (core.WaitReason.DOWN.value, core.WaitReason.FAILED.value)
# And of 1.4.
_OF_THE_CLOUD = (
    core.WaitReason.CLAIMING.value,
    core.WaitReason.GATE_PAUSED.value,
    core.WaitReason.AWAY.value,
)
# And of 1.5.
_SLOW = (core.WaitReason.ON_DECK.value, core.WaitReason.ASIDE.value)


@base.ThrottleVersionedObjectRegistry.register
class Gate(core_object.CoreObject[core.GateState]):
    """One gate: its limit, 0 is unlimited, and who owns its slots."""

    # Version 1.0: Initial version
    # Version 1.1: Added offered, waiting and automatic
    VERSION = '1.1'
    CORE = core.GateState
    SHAPES = dict.fromkeys(
        ('owners', 'offered', 'waiting'), core_object.STRINGS
    )

    fields = {
        'name': fields.StringField(),
        'limit': fields.NonNegativeIntegerField(),
        'owners': fields.ListOfStringsField(),
        'offered': fields.ListOfStringsField(),
        'waiting': fields.ListOfStringsField(),
        'automatic': fields.BooleanField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Make the plain data of an older version."""
        super().obj_make_compatible(primitive, target_version)
        if base.is_before(target_version, '1.1'):
            primitive.pop('automatic', None)
            primitive.pop('offered', None)
            primitive.pop('waiting', None)


@base.ThrottleVersionedObjectRegistry.register
class Wait(core_object.CoreObject[core.Wait]):
    """What a queued request waits for at one gate."""

    # Version 1.0: Initial version
    # Version 1.1: Added host and place, and the reasons of a destination
    # Version 1.2: Added the reason of a pause; place is called position
    # Version 1.3: Added the reasons of a fault that may pass
    # Version 1.4: Added the reason of one that is held
    # Version 1.5: Added the reasons of gates that no host keeps
    # Version 1.6: Added the reasons of one that moves slowly
    VERSION = '1.6'
    CORE = core.Wait
    SHAPES = {
        'reason': core_object.word(core.WaitReason),
        'owners': core_object.STRINGS,
    }

    fields = {
        'reason': fields.EnumField(
            valid_values=[reason.value for reason in core.WaitReason]
        ),
        'gate': fields.StringField(),
        'limit': fields.NonNegativeIntegerField(),
        'owners': fields.ListOfStringsField(),
        'host': fields.StringField(),
        'position': fields.NonNegativeIntegerField(),
    }

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Make the plain data of an older version."""
        super().obj_make_compatible(primitive, target_version)
        slow = primitive.get('reason') in _SLOW
        if slow and base.is_before(target_version, '1.6'):
            primitive['reason'] = core.WaitReason.GATE_FULL.value
        of_the_cloud = primitive.get('reason') in _OF_THE_CLOUD
        if of_the_cloud and base.is_before(target_version, '1.5'):
            primitive['reason'] = core.WaitReason.GATE_FULL.value
        held = primitive.get('reason') == core.WaitReason.HELD.value
        if held and base.is_before(target_version, '1.4'):
            primitive['reason'] = core.WaitReason.PAUSED.value
        fault = primitive.get('reason') in _FAULTS
        if fault and base.is_before(target_version, '1.3'):
            primitive['reason'] = core.WaitReason.STARTING.value
        if base.is_before(target_version, '1.2'):
            primitive['place'] = primitive.pop('position', 0)
        if base.is_before(target_version, '1.1'):
            primitive.pop('host', None)
            primitive.pop('place', None)
            if primitive.get('reason') in _NEW_REASONS:
                primitive['reason'] = core.WaitReason.GATE_FULL.value
        paused = primitive.get('reason') == core.WaitReason.PAUSED.value
        if paused and base.is_before(target_version, '1.2'):
            primitive['reason'] = core.WaitReason.STARTING.value


@base.ThrottleVersionedObjectRegistry.register
class QueueEntry(core_object.CoreObject[core.QueueEntry]):
    """One queued request, with its position in the order."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = core.QueueEntry
    SHAPES = {'waits_for': core_object.row(Wait)}

    fields = {
        'migration_uuid': fields.UUIDField(),
        'instance_uuid': fields.UUIDField(),
        'destination': fields.StringField(),
        'priority': fields.IntegerField(),
        'position': fields.IntegerField(),
        'seconds_waited': fields.FloatField(),
        'waits_for': fields.ListOfObjectsField('Wait'),
    }


@base.ThrottleVersionedObjectRegistry.register
class MigrationView(core_object.CoreObject[lifecycle.View]):
    """One live migration that is not over, and how far it has come."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = lifecycle.View
    SHAPES = {'state': core_object.word(lifecycle.State)}

    fields = {
        'migration_uuid': fields.UUIDField(),
        'instance_uuid': fields.UUIDField(),
        'destination': fields.StringField(),
        'state': fields.EnumField(
            valid_values=[state.value for state in lifecycle.State]
        ),
        'problem': fields.StringField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class TransferProgress(core_object.CoreObject[progress_lib.Progress]):
    """How far the transfer of one migration is."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = progress_lib.Progress

    fields = {
        'migration_uuid': fields.UUIDField(),
        'done': fields.NonNegativeIntegerField(),
        'remaining': fields.NonNegativeIntegerField(),
        'rate': fields.NonNegativeFloatField(),
        'dirty_rate': fields.NonNegativeFloatField(),
        'iteration': fields.NonNegativeIntegerField(),
        'stalled': fields.NonNegativeIntegerField(),
        'eta': fields.NonNegativeFloatField(nullable=True),
        'post_copy': fields.BooleanField(),
        'block': fields.BooleanField(),
        'auto_converge': fields.BooleanField(),
        'slow': fields.BooleanField(),
    }

    @classmethod
    def of(
        cls, migration_uuid: str, value: progress_lib.Progress
    ) -> 'TransferProgress':
        """Make an object of what is known of a migration."""
        found = cls.from_core(value)
        found.migration_uuid = migration_uuid
        return found


@base.ThrottleVersionedObjectRegistry.register
class Snapshot(base.ThrottleObject):
    """All gates of one host, its queue in its order, and what is not over."""

    # Version 1.0: Initial version
    # Version 1.1: Added migrations
    # Version 1.2: Added transfers
    # Version 1.3: Added pause
    VERSION = '1.3'

    fields = {
        'host': fields.StringField(),
        'gates': fields.ListOfObjectsField('Gate'),
        'queue': fields.ListOfObjectsField('QueueEntry'),
        'closed': fields.BooleanField(),
        'migrations': fields.ListOfObjectsField('MigrationView'),
        'transfers': fields.ListOfObjectsField('TransferProgress'),
        'pause': fields.ObjectField('Pause', nullable=True),
    }

    @classmethod
    def from_core(
        cls,
        host: str,
        value: core.Snapshot,
        migrations: Iterable[lifecycle.View] = (),
        pause: pause_obj.Pause | None = None,
    ) -> 'Snapshot':
        """Make an object of the core's value.

        :param host: where it was taken.
        :param migrations: those of the host that are not over.
        :param pause: of its queue, if it is paused.
        """
        return cls(
            host=host,
            gates=[Gate.from_core(gate) for gate in value.gates.values()],
            queue=[QueueEntry.from_core(entry) for entry in value.queue],
            closed=value.closed,
            migrations=list(map(MigrationView.from_core, migrations)),
            transfers=[
                TransferProgress.of(*each) for each in value.progress.items()
            ],
            pause=pause,
        )

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Make the plain data of an older version."""
        super().obj_make_compatible(primitive, target_version)
        if base.is_before(target_version, '1.2'):
            primitive.pop('transfers', None)
        if base.is_before(target_version, '1.3'):
            primitive.pop('pause', None)
        if base.is_before(target_version, '1.1'):
            primitive.pop('migrations', None)
