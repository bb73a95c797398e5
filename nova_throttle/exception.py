# SPDX-License-Identifier: Apache-2.0

"""The errors of nova-throttle, but for those of a start, and of some rooms.

One root, one class per outcome. An error carries its data as attributes;
the message is made from them, never the other way round.
"""

from typing import Any


class ThrottleError(Exception):
    """The root of all errors raised by nova-throttle.

    :param message: given only by who builds an error again from its parts:
        oslo.messaging at the caller's side, copy and pickle.
    :param data: what the message is made from; becomes attributes.
    """

    msg_fmt = 'nova-throttle failed'

    @property
    def may_pass(self) -> bool:
        """Whether what it is about may be over if one tries again."""
        return False

    def format_message(self) -> str:
        """Return what a user may read, for an event of an instance action.

        Nova asks for it by this name; otherwise it shows that of our class.
        """
        return str(self.args[0])

    def __init__(self, message: str | None = None, **data: Any) -> None:
        # oslo.messaging sends args and kwargs along.
        self.kwargs = data
        self.__dict__.update(data)
        super().__init__(self.msg_fmt % data if message is None else message)


class AdmissionClosed(ThrottleError):
    msg_fmt = 'live migration %(migration_uuid)s refused: the service stops'


class DuplicateRequest(ThrottleError):
    msg_fmt = 'live migration %(migration_uuid)s is already known'


class NotQueued(ThrottleError):
    msg_fmt = 'live migration %(migration_uuid)s is not queued here'


class UnknownMigration(ThrottleError):
    msg_fmt = 'host %(host)s has no live migration %(migration_uuid)s'


class NoSuchMigration(ThrottleError):
    msg_fmt = 'there is no migration %(uuid)s in this cell'


class ConductorSilent(ThrottleError):
    msg_fmt = (
        'no conductor said in %(timeout)s seconds which host it leaves: name '
        'the host with --host'
    )


class NotWaiting(ThrottleError):
    msg_fmt = (
        'live migration %(migration_uuid)s is %(state)s, not queued; to end '
        'it: openstack server migration abort %(instance_uuid)s '
        '%(migration_id)s'
    )


class InvalidPriority(ThrottleError):
    msg_fmt = 'there is no priority %(priority).100r'


class NotInProgress(ThrottleError):
    msg_fmt = (
        'live migration %(migration_uuid)s owns no slot, or waits already'
    )


class NoFurtherStage(ThrottleError):
    msg_fmt = 'live migration %(migration_uuid)s is in its last stage'


class InvalidMessage(ThrottleError):
    msg_fmt = 'it cannot be read: %(reason)s'


class InvalidHost(ThrottleError):
    msg_fmt = '%(host)s is no name of a host'


class UnknownGate(ThrottleError):
    msg_fmt = 'there is no gate named %(gate)s'


class InvalidLimit(ThrottleError):
    msg_fmt = 'the limit of gate %(gate)s must be 0 or more, not %(limit)s'


class AlreadyOwner(ThrottleError):
    msg_fmt = '%(owner)s already owns a slot of gate %(gate)s'


class GateFull(ThrottleError):
    msg_fmt = 'gate %(gate)s has no free slot (limit %(limit)s)'


class IllegalTransition(ThrottleError):
    msg_fmt = 'a live migration that is %(before)s cannot become %(after)s'


class MigrationAborted(ThrottleError):
    msg_fmt = 'live migration of instance %(instance_uuid)s was aborted'


class MigrationFailed(ThrottleError):
    msg_fmt = 'live migration %(migration_uuid)s ended as %(status)s'


class InstanceGone(ThrottleError):
    msg_fmt = 'instance %(instance_uuid)s was deleted while it was queued'


class InstanceMoved(ThrottleError):
    msg_fmt = (
        'instance %(instance_uuid)s is on host %(host)s, not here any more'
    )


class Superseded(ThrottleError):
    msg_fmt = (
        'instance %(instance_uuid)s has another migration, %(migration_uuid)s'
    )


class AlreadyMigrating(ThrottleError):
    msg_fmt = (
        'live migration %(migration_uuid)s of instance %(instance_uuid)s is '
        'not over; ask again when it is'
    )


class ServerInTransit(ThrottleError):
    msg_fmt = (
        'instance %(instance_uuid)s is being deleted, or another migration '
        'of it is being prepared'
    )


class AllocationLost(ThrottleError):
    msg_fmt = (
        'Placement has lost the allocations of instance %(instance_uuid)s, '
        'and they cannot be made again: %(reason)s'
    )


class AllocationRefused(ThrottleError):
    msg_fmt = 'Placement refused to change what %(consumer_uuid)s allocates'


class InstanceNotMigrating(ThrottleError):
    msg_fmt = (
        'instance %(instance_uuid)s has task state %(task_state)s, not '
        'migrating'
    )


class MigrationNotQueued(ThrottleError):
    msg_fmt = (
        'live migration %(migration_uuid)s is %(status)s in the database, '
        'not queued'
    )


class DestinationUnavailable(ThrottleError):
    msg_fmt = 'the compute service of destination %(host)s is %(state)s'
    state: str

    @property
    def may_pass(self) -> bool:
        """Whether nobody has decided that it is so."""
        return self.state == 'down'


class NotChecked(ThrottleError):
    msg_fmt = 'what it was asked for cannot be checked now: %(error)s'

    @property
    def may_pass(self) -> bool:
        """Whether it may be checked later: always."""
        return True


class IncomingQueueFull(ThrottleError):
    msg_fmt = (
        '%(waiting)s live migrations wait for host %(host)s, which receives '
        'at most %(limit)s at a time'
    )


class StoppedBeforeTransfer(ThrottleError):
    msg_fmt = 'the service stops, and the guest has not begun to move'


class DestinationStops(ThrottleError):
    msg_fmt = 'host %(host)s stops, and the guest has not begun to move'


class CancelledByRestart(ThrottleError):
    msg_fmt = (
        'nova-compute was restarted and [nova_throttle] on_restart is cancel'
    )


class LostInRestart(ThrottleError):
    msg_fmt = (
        'a restart of nova-compute lost %(names)s of the request, which '
        'cannot be read again: %(reason)s'
    )


class Interrupted(ThrottleError):
    msg_fmt = 'nova-compute ended while live migration %(was)s'


class GuestNotRunning(ThrottleError):
    msg_fmt = (
        'the guest is %(state)s on its host: only one that runs or is paused '
        'can be migrated live'
    )


class InstanceTaken(ThrottleError):
    msg_fmt = (
        'while it was migrated from %(host)s the server was deleted, or '
        'moved by something else'
    )


class NotArrived(ThrottleError):
    msg_fmt = (
        'the guest has not arrived on %(host)s: it went off, or was refused'
    )


class NotSeen(ThrottleError):
    msg_fmt = (
        'it is not known where the guest is: %(here)s here, and on %(host)s: '
        '%(there)s'
    )


class HypervisorAway(ThrottleError):
    msg_fmt = 'the hypervisor of host %(host)s cannot be asked: %(error)s'


class StillMigrating(ThrottleError):
    msg_fmt = 'the hypervisor is not done with the live migration: %(reason)s'


class ArrivalNotTaken(ThrottleError):
    msg_fmt = '%(host)s has not taken the server over'


class StillAttached(ThrottleError):
    msg_fmt = 'volume %(volume_id)s is still attached to %(host)s'


class ServerBusy(ThrottleError):
    msg_fmt = (
        'host %(host)s cannot take the server over now: it is on %(at)s, '
        'with the task state %(task_state)s, or its guest is not here'
    )


class ArrivedUnseen(ThrottleError):
    msg_fmt = 'the guest arrived on %(host)s, and the rest was finished later'


class LeftOver(ThrottleError):
    msg_fmt = (
        'live migration %(migration_uuid)s is %(status)s in the database '
        'and no nova-compute knows it'
    )


class RequestLost(ThrottleError):
    msg_fmt = (
        'the request %(request_id)s for a live migration was lost before a '
        'conductor began with it'
    )


class Refused(ThrottleError):
    msg_fmt = (
        'live migration %(migration_uuid)s ended before it came to this host'
    )


class AdminRequired(ThrottleError):
    msg_fmt = '%(action)s is for administrators only'


class HostSilent(ThrottleError):
    msg_fmt = (
        'host %(host)s did not answer in %(timeout)s seconds: nova-compute '
        'is down there, or this is not the message bus of its cell'
    )


class HostNotThrottled(ThrottleError):
    msg_fmt = 'nova-throttle is not active on host %(host)s'


class HostFailed(ThrottleError):
    msg_fmt = 'asking host %(host)s failed: %(error)s'


class BusSilent(ThrottleError):
    msg_fmt = 'no message bus could be reached in %(timeout)s seconds'


class UnreadableConfig(ThrottleError):
    msg_fmt = 'the configuration cannot be used: %(reason)s'
