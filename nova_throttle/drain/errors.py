# SPDX-License-Identifier: Apache-2.0

"""What keeps a command from draining a host."""

from nova_throttle import exception


class MissingLibrary(exception.ThrottleError):
    msg_fmt = "%(name)s is not installed: pip install 'nova-throttle[drain]'"


class CloudAway(exception.ThrottleError):
    """Nova's API did not answer, or not with what was asked for."""

    msg_fmt = "Nova's API cannot be used: %(reason)s"

    @property
    def may_pass(self) -> bool:
        return True


class CloudRefused(exception.ThrottleError):
    """Nova's API said no."""

    msg_fmt = 'Nova refused: %(reason)s'


class NoComputeService(exception.ThrottleError):
    msg_fmt = 'there is no nova-compute on host %(host)s'


class HostDown(exception.ThrottleError):
    msg_fmt = (
        'nova-compute of host %(host)s is down: nothing can leave it by '
        'migration'
    )


class NotDraining(exception.ThrottleError):
    msg_fmt = 'host %(host)s is not being drained'


class NoDrain(exception.ThrottleError):
    msg_fmt = 'nothing has migrated from host %(host)s then'
