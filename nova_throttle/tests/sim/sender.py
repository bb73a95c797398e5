# SPDX-License-Identifier: Apache-2.0

"""Who sends the messages of one half of a host, with the product's limits."""

from nova_throttle.agreement import outbox


class Sender:
    """Sends to many hosts at a time, but once at a time to each.

    :param half: the half of a host, as long as it is alive.
    :param send: called with a host's name and what is called with whether it
        answered.
    """

    def __init__(self, half, send):
        self._half = half
        self._send = send
        self._world = half.host.world
        scenario = self._world.scenario
        self._outbox = outbox.Outbox(scenario.senders, scenario.silent)

    def post(self, name):
        """Have something sent to a host soon."""
        if self._outbox.add(name):
            self._world.loop.after(0, self._next)

    def _next(self):
        """Send the next message, as a thread of the product."""
        if self._half.is_alive:
            name = self._outbox.next()
            if name is not None:
                self._world.touch(self._half.host)
                self._send(name, lambda answered: self._done(name, answered))

    def _done(self, name, answered):
        self._outbox.done(name, answered)
        self._world.loop.after(0, self._next)
