# SPDX-License-Identifier: Apache-2.0

"""Pause the drain of a host, and go on.

The only thing of a drain that Nova's API can't do: it is the queue of the
host that is paused, and the message bus has to be reached for it.
"""

from nova_throttle.cmd import queue


class DrainPause(queue.QueuePause):
    """Pause a drain: nothing more starts to leave its host.

    It pauses the queue of the host, whoever has asked for what waits there,
    until drain resume. What is in progress goes on. Run it where nova.conf
    names the message bus.
    """


class DrainResume(queue.QueueResume):
    """Go on with a drain that is paused.

    Run it where nova.conf names the message bus.
    """
