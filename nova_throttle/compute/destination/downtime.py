# SPDX-License-Identifier: Apache-2.0

"""For how long a guest paused at the end of a live migration to this host.

Only where it is now can that be asked: on its source it is gone. It is worth
a figure, and no more: whatever fails, there is none.
"""

from collections.abc import Callable

from oslo_log import log as logging

from nova_throttle.compute import border

LOG = logging.getLogger(__name__)


def observe(
    driver: border.Driver,
    instance: border.Instance,
    note: Callable[[float], None],
) -> None:
    """Note how long a guest has paused that has just arrived.

    :param driver: of this host; one that does not know it is asked nothing.
    :param note: called with the seconds, if they are known.
    """
    ask = getattr(driver, 'downtime_of', None)
    if ask is None:
        return
    try:
        seconds = ask(instance)
        if seconds is not None:
            note(seconds)
    except Exception as error:
        LOG.debug(
            'It is not known how long the guest paused: %s',
            error,
            instance=instance,
        )
