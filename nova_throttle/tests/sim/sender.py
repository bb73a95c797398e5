# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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
