# SPDX-License-Identifier: Apache-2.0

"""A host: what survives a crash, and the two halves that don't."""

from nova_throttle.tests.sim import destination as destination_lib
from nova_throttle.tests.sim import source as source_lib

# Of the first life, so that a clock can be set back.
FIRST = 10**9


class Host:
    """One compute host.

    :param product: whether it has nova-throttle installed.
    """

    def __init__(self, world, name, product, incoming, outgoing):
        self.world = world
        self.name = name
        self.product = product
        self.incoming_limit = incoming
        self.outgoing_limit = outgoing
        # In order, what was accepted here and is not over.
        self.journal = {}
        self.life = 0
        self.up = False
        self.mute = False
        self.down_since = 0.0
        self.source = None
        self.destination = None
        self._number = 0

    @property
    def is_down(self):
        """Whether the others know that its service is dead."""
        age = self.world.loop.now - self.down_since
        return not self.up and age >= self.world.scenario.down_time

    def start(self):
        """Begin a life."""
        self.up = True
        self.life += 1
        self._forget_plain()
        if not self.product:
            return
        incarnation = FIRST + int(self.world.loop.now * 1000)
        if self.world.random.random() < self.world.scenario.backward:
            self.world.count('clock set back')
            incarnation -= 10**8
        self.source = source_lib.Source(self, incarnation)
        self.destination = destination_lib.Destination(self, incarnation)
        self.source.recover()
        self.destination.recover()

    @property
    def number(self):
        """The incarnation of its source's half, also when that is dead."""
        if self.source is not None:
            self._number = self.source.throttle._source.incarnation
        return self._number

    def kill(self):
        """End a life, as kill -9 does."""
        self.up = False
        self.life += 1
        self.world.loop.note('dies', self.name, self.number)
        self.down_since = self.world.loop.now
        self.source = self.destination = None

    @property
    def accepts(self):
        """Whether a request can be brought to it now."""
        return self.up and not (self.source and self.source.throttle.closed)

    def submit(self, migration):
        """Accept a migration, as the product does or without it."""
        if self.source is not None:
            self.source.submit(migration)
        else:
            self.journal[migration] = None
            self.world.begin(self, migration)

    def check(self):
        """Do the slow check of both halves."""
        if self.source is not None:
            self.world.touch(self)
            self.source.check()
            self.destination.check()

    def serve(self, kind, value):
        """Answer a message; None refuses it."""
        if not self.product:
            return None
        if kind in ('offer', 'news'):
            self.source.throttle.receive(value)
            return True
        if kind == 'report':
            return self.source.throttle.report(*value)
        if self._is_beyond(value):
            return None
        return self.destination.serve(kind, value)

    def _is_beyond(self, ask):
        """Tell whether a late message has a number that is to come again.

        Its source had its clock set back and this host has forgotten the
        number: it takes a late word of the life before for a new one. That
        is not covered, see the contributor guide.
        """
        return ask.incarnation > self.world.hosts[ask.source].number

    def _forget_plain(self):
        """Nova by itself forgets its queue, and ends what it finds."""
        for migration in list(self.journal):
            if not self.product or migration.basis == 'plain':
                self.world.stop(migration)
                self.world.close(migration, 'lost')
