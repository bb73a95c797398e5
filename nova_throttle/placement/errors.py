# SPDX-License-Identifier: Apache-2.0

"""What is wrong with a gate of the cloud, or with the way to Placement."""

from nova_throttle import exception


class InvalidGate(exception.ThrottleError):
    msg_fmt = (
        '%(name)s is no name of a gate: use letters, digits, ".", "_" and '
        '"-", at most 63'
    )


class ReservedGate(exception.ThrottleError):
    msg_fmt = '%(name)s is the name of a gate that each host has itself'


class UnknownAggregate(exception.ThrottleError):
    msg_fmt = 'there is no aggregate %(name)s that has hosts'


class InvalidPattern(exception.ThrottleError):
    msg_fmt = '%(pattern)r is no pattern of names of hosts'


class GateInUse(exception.ThrottleError):
    msg_fmt = (
        'gate %(gate)s is in use: %(count)s live migrations have a slot of it'
    )


class PlacementAway(exception.ThrottleError):
    msg_fmt = 'Placement cannot be asked: %(reason)s'
