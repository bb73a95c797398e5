# SPDX-License-Identifier: Apache-2.0

"""What happens to live migrations, told once to whoever listens.

A listener is called in the thread that changed the state, after the change
and outside every lock. One that fails is logged and disturbs nobody else.
"""

from collections.abc import Callable
import dataclasses
import datetime

from oslo_log import log as logging

from nova_throttle import lifecycle

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Transition:
    """One change of the state of a live migration.

    :param migration_uuid: which one.
    :param instance_uuid: the server.
    :param destination: the destination host.
    :param before: the state that it left; None if it is new here, and the
        same as after if it was, before a restart.
    :param after: the state that it has now.
    :param at: when that was, with a time zone.
    :param status: what its record says; it is final only once the migration
        is over.
    """

    migration_uuid: str
    instance_uuid: str
    destination: str
    before: lifecycle.State | None
    after: lifecycle.State
    at: datetime.datetime
    status: str = ''


Listener = Callable[[Transition], None]


class Port:
    """Hands each transition on to all listeners, in their order."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> None:
        """Have a function called with each transition from now on."""
        self._listeners = (*self._listeners, listener)

    def publish(self, transition: Transition) -> None:
        """Tell all listeners of a transition."""
        for listener in self._listeners:
            try:
                listener(transition)
            except Exception:
                LOG.exception('A listener failed at %s', transition)
