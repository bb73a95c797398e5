# SPDX-License-Identifier: Apache-2.0

"""The periodic tasks of one host: they find what events may have missed.

Nothing that operates normally waits for one, and none waits for another.
"""

import functools
import time

import nova.conf

from nova_throttle.compute import assembly
from nova_throttle.compute.destination import arrivals
from nova_throttle.compute.destination import dead_sources
from nova_throttle.compute.destination import undo
from nova_throttle.compute import remains
from nova_throttle.compute.source import leftovers
from nova_throttle.compute.source import lost
from nova_throttle.compute.source import recovery
from nova_throttle.compute.source import refused
from nova_throttle.compute import threads
from nova_throttle.transfer import link

CONF = nova.conf.CONF

# Seconds that a stop waits for runs that are in the middle of something: a
# part of the 20 that Nova's own stop has for this.
STOP_PATIENCE = 5.0


class Housekeeping:
    """The periodic tasks of a host, each on a thread of its own.

    :param parts: the parts of its host.
    :param recovery: what carries its queue over a restart.
    :param arrivals: what counts what comes to it.
    :param undo: what undoes what it prepared.
    """

    def __init__(
        self,
        parts: assembly.Assembly,
        recovery: recovery.Recovery,
        arrivals: arrivals.Arrivals,
        undo: undo.Undo,
    ) -> None:
        self.leftovers = leftovers.Leftovers(parts)
        self.tasks = [
            threads.PeriodicTask(name, work)
            for name, work in (
                # First what a restart waits for.
                ('recovery', lambda context: recovery.carry_on()),
                ('incoming', arrivals.look),
                ('outgoing', parts.negotiation.look),
                ('gates', parts.negotiation.shared.look),
                ('cleanup', lambda context: parts.cleanup.retry()),
                (
                    'dead-sources',
                    functools.partial(dead_sources.look, parts.manager),
                ),
                ('lost-slots', parts.completion.find_lost_owners),
                ('untold', parts.completion.tell_again),
                ('journal', lambda context: parts.journal.sync()),
                ('leftovers', self.leftovers.find),
                ('refused', refused.Refused(parts).find),
                ('lost', lost.Lost(parts).find),
                ('remains', remains.Remains(parts).look),
                ('undo', undo.look),
            )
        ]

        # What is slow is so for seconds only, unless that is said again.
        self._link = threads.PeriodicTask('link', parts.transfer.look)

    def start(self) -> None:
        """Begin, unless it has begun."""
        for task in self.tasks:
            task.start(CONF.nova_throttle.housekeeping_interval)
        self._link.start(link.TICK)

    def stop(self, patience: float = STOP_PATIENCE) -> None:
        """Have each task end after its present run.

        :param patience: seconds that this waits for all of them together.
        """
        tasks = (*self.tasks, self._link)
        for task in tasks:
            task.stop()
        deadline = time.monotonic() + patience
        for task in tasks:
            task.join(max(0, deadline - time.monotonic()))
