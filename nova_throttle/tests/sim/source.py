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

"""One life of the source's half, driven as its adapter drives it."""

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib
from nova_throttle.tests.sim import bus as bus_lib

GATE = 'source'

# How long it is remembered that a host has not got the product.
OPEN_FOR = 300.0


def make_request(migration):
    """Return what a source knows of a migration."""
    gate = request_lib.RemoteGate('destination', migration.destination)
    return request_lib.Request(
        migration.uuid,
        f'instance of {migration.uuid}',
        migration.destination,
        (request_lib.Needs((GATE,), (gate,)),),
        migration.priority,
        migration.arrival,
    )


class Source:
    """The controller of what leaves a host, from its start to its death."""

    def __init__(self, host, incarnation):
        self.host = host
        self._world = host.world
        self._due = set()
        clock = host.world.loop.clock
        self.throttle = outgoing.OutgoingController(
            {'in progress': {GATE: host.outgoing_limit}},
            self._start,
            source=source_lib.Source(host.name, incarnation, clock=clock),
            tell=self._post,
            clock=clock,
        )
        self.throttle.halt(standstill.Standstill.STARTING)

    @property
    def is_alive(self):
        """Whether the service is still in this life."""
        return self.host.source is self

    def recover(self):
        """Go on with what the journal has."""
        journal = list(self.host.journal)
        for migration in journal:
            if migration.status == 'active':
                self.throttle.adopt(make_request(migration))
                self._settle(migration)
            else:
                self.throttle.submit(make_request(migration))
        self.throttle.resume(standstill.Standstill.STARTING)

    def submit(self, migration):
        """Accept a migration."""
        self.host.journal[migration] = None
        self.throttle.submit(make_request(migration))

    def cancel(self, migration):
        """Take a migration out of the queue, or abort it."""
        if self.throttle.cancel(migration.uuid):
            self._world.close(migration, 'cancelled')
        elif migration.moving:
            self._world.end(migration, migration.attempt)

    def finish(self, migration):
        """Note that a migration has ended."""
        self._world.close(migration, 'done')
        self.throttle.finish(migration.uuid)

    def check(self):
        """Look for what was lost."""
        for name in self.throttle.unheard(self._world.scenario.interval):
            if self._world.hosts[name].is_down:
                self.throttle.open(name, 0)
            else:
                self._pass_on(name, self.throttle.compose(name))

    def _start(self, grant):
        migration = self._world.migrations[grant.request.migration_uuid]
        self._world.begin(self.host, migration)

    def _settle(self, migration):
        """Decide about one that was interrupted."""
        random = self._world.random
        if not migration.moving or random.random() < 0.5:
            delay = random.uniform(0.1, 5)
            self._world.loop.after(
                delay, self._roll_back, migration, migration.attempt
            )

    def _roll_back(self, migration, attempt):
        if not self.is_alive or migration.attempt != attempt:
            return
        if migration.status != 'active':
            return
        self._world.stop(migration)
        if self._world.random.random() < 0.5:
            self.finish(migration)
        else:
            migration.status = 'queued'
            self.throttle.resubmit(make_request(migration))

    def _post(self, name):
        if name not in self._due:
            self._due.add(name)
            self._world.loop.after(0, self._send, name)

    def _send(self, name):
        self._due.discard(name)
        if self.is_alive:
            self._world.touch(self.host)
            self._pass_on(name, self.throttle.compose(name))

    def _pass_on(self, name, ask):
        if ask is None:
            return
        target = self._world.hosts[name]
        if not ask.wants_answer:
            self._world.bus.cast(target, 'gone', ask)
            return

        def done(outcome, tell):
            if outcome == bus_lib.ANSWERED:
                self.throttle.receive(tell)
            elif outcome == bus_lib.REFUSED:
                self.throttle.open(name, OPEN_FOR)
            else:
                self.throttle.failed(name)

        self._world.bus.call(self.host, target, 'ask', ask, done)
