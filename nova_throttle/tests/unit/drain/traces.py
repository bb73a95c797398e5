# SPDX-License-Identifier: Apache-2.0

"""Drains as they go, look by look: a small model of hosts and their link."""

import dataclasses
import datetime

from nova_throttle.drain import facts as facts_lib
from nova_throttle.tests.unit.drain import base

STEP = 0.5
INTERVAL = 5.0


def transfer(memory, sent):
    """Return how far a guest is, of MiB."""
    return facts_lib.Transfer(memory << 20, int((memory - sent) * 2**20))


@dataclasses.dataclass
class Guest:
    name: str
    memory: int
    status: str = 'queued'
    prepares: float = 0.0
    sent: float = 0.0
    kind: str = facts_lib.LIVE
    ended: float = 0.0


class Trace:
    """A drain that goes on by itself.

    :param sizes: MiB of its guests, in their order.
    :param rate: MiB in a second that the link carries.
    :param setup: seconds for which a destination prepares.
    :param limit: how many are in progress at a time.
    :param transfers: how many of them are on the wire at a time.
    """

    def __init__(self, sizes, rate, setup=4.0, limit=1, transfers=8):
        self.guests = [
            Guest(f'g{number}', memory) for number, memory in enumerate(sizes)
        ]
        self.rate = rate
        self.setup = setup
        self.limit = limit
        self.transfers = transfers
        self.paused = False
        self.time = 0.0

    def looks(self):
        """Yield the facts of each look, and when it was, to the end."""
        while any(guest.status != 'completed' for guest in self.guests):
            yield self.time, self.facts()
            for _ in range(int(INTERVAL / STEP)):
                self._go_on()

    def facts(self, *others):
        """Return what Nova tells now; others are on the host as well."""
        gone = [g for g in self.guests if g.status == 'completed']
        here = [g for g in self.guests if g.status != 'completed']
        return base.host(
            *map(self._server, here),
            *others,
            moved=tuple(map(self._server, gone)),
            migrations=tuple(
                base.migration(
                    *(guest.name, guest.status, number),
                    kind=guest.kind,
                    end=guest.ended / 60,
                )
                for number, guest in enumerate(self.guests)
            ),
            transfers={
                number: transfer(guest.memory, guest.sent)
                for number, guest in enumerate(self.guests)
                if guest.status == 'running'
            },
            at=base.NOW + datetime.timedelta(seconds=self.time),
        )

    @staticmethod
    def _server(guest):
        return base.server(guest.name, memory=guest.memory)

    def _of(self, *statuses):
        return [guest for guest in self.guests if guest.status in statuses]

    def _go_on(self):
        self.time += STEP
        room = self.limit - len(self._of('preparing', 'prepared', 'running'))
        for guest in self._of('queued')[: 0 if self.paused else room]:
            guest.status = 'preparing'
        for guest in self._of('preparing'):
            guest.prepares += STEP
            room = self.transfers - len(self._of('running'))
            if guest.prepares >= self.setup and room > 0:
                guest.status = 'running'
        moving = self._of('running')
        for guest in moving:
            guest.sent += self.rate * STEP / len(moving)
            if guest.sent >= guest.memory:
                guest.status, guest.ended = 'completed', self.time
