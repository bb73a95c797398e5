# SPDX-License-Identifier: Apache-2.0

"""What goes wrong while requests come, and that it ends."""

from nova_throttle.admission import standstill

Standstill = standstill.Standstill


class Faults:
    """Plans the faults of a scenario on its world."""

    def __init__(self, world):
        self._world = world
        self._random = world.random

    def plan(self):
        """Spread all faults over the span; then all becomes calm."""
        scenario = self._world.scenario
        for number, fault in (
            (scenario.crashes, self._crash),
            (scenario.swaps, self._swap),
            (scenario.resizes, self._resize),
            (scenario.cancels, self._cancel),
            (scenario.changes, self._change),
            (scenario.pauses, self._pause),
        ):
            for _number in range(number):
                time = self._random.uniform(0.02, 1) * scenario.span
                self._world.loop.after(time, fault)
        self._world.loop.after(scenario.span * 1.1, self._calm)

    def _calm(self):
        """The bus is perfect from now on; hosts come back by themselves."""
        self._world.bus.is_bad = False
        for host in self._world.hosts.values():
            host.mute = False
            if not host.up:
                self._return(host, host.life)
        self._world.calm = True
        self._world.loop.note('all is calm')

    def _pick(self):
        hosts = [host for host in self._world.hosts.values() if host.up]
        return self._random.choice(hosts) if hosts else None

    def _crash(self, swap=False):
        host = self._pick()
        if host is None:
            return
        self._world.count('killed')
        self._world.loop.note('killed', host.name)
        host.kill()
        self._fail_guests(host)
        if swap:
            self._world.count('version swapped')
            host.product = not host.product
        longest = self._random.choice((2, 20, 200))
        away = self._random.uniform(0.1, longest)
        self._world.loop.after(away, self._return, host, host.life)

    def _fail_guests(self, host):
        """Some of what comes to a host that is killed fails soon."""
        for migration in list(self._world.coming_to[host.name].values()):
            if self._random.random() < 0.5:
                self._world.loop.after(
                    self._random.uniform(0, 10),
                    self._world.end,
                    migration,
                    migration.attempt,
                )

    def _return(self, host, life):
        if host.life == life and not host.up:
            self._world.loop.note('returns', host.name, host.product)
            host.start()
            self._world.touch(host)

    def _swap(self):
        self._crash(swap=True)

    def _resize(self):
        host = self._pick()
        if host is None:
            return
        self._world.count('resized')
        limit = self._random.choice((0, 1, 1, 2, 3))
        incoming = self._random.random() < 0.6
        if incoming:
            host.incoming_limit = limit
        else:
            host.outgoing_limit = limit
        self._world.touch(host)
        if host.source is None:
            return
        self._world.loop.note('resized', host.name, incoming, limit)
        if incoming:
            host.destination.incoming.resize('destination', limit)
        else:
            host.source.throttle.resize('source', limit)

    def _cancel(self):
        host = self._pick()
        if host is None or host.source is None or not host.journal:
            return
        self._world.count('cancelled')
        self._world.touch(host)
        host.source.cancel(self._random.choice(list(host.journal)))

    def _change(self):
        """Give a request another priority, or hold it a while."""
        waiting = [
            migration
            for migration in self._world.unsettled
            if migration.status == 'queued' and not migration.held
        ]
        if not waiting:
            return
        self._world.count('changed')
        # In an order that is the same in every run.
        waiting.sort(key=lambda migration: migration.arrival)
        migration = self._random.choice(waiting)
        if self._random.random() < 0.5:
            migration.priority = self._random.choice((-1_000_000, -1, 0, 1))
            self._tell(migration, priority=migration.priority)
        else:
            self._hold(migration, True)
            later = self._random.uniform(1, 60)
            self._world.loop.after(later, self._hold, migration, False)

    def _hold(self, migration, held):
        migration.held = held
        self._tell(migration, held=held)

    def _tell(self, migration, **values):
        host = self._world.hosts[migration.source]
        self._world.loop.note('changed', migration.uuid, *values.items())
        if host.source is not None:
            self._world.touch(host)
            host.source.change(migration, **values)

    def _pause(self):
        """Close a half of a host, and go on later."""
        host = self._pick()
        if host is None or host.source is None:
            return
        self._world.count('paused')
        self._world.touch(host)
        if self._random.random() < 0.5:
            half, incoming = host.source.throttle, None
        else:
            half = incoming = host.destination.incoming
        if incoming is not None and incoming.counts:
            return
        half.halt(Standstill.PAUSED)
        self._world.loop.note('closed', host.name, half is incoming)
        later = self._random.uniform(1, 60)
        self._world.loop.after(later, self._go_on, host, host.life, half)

    def _go_on(self, host, life, half):
        if host.life == life:
            self._world.touch(host)
            self._world.loop.note('goes on', host.name)
            half.resume(Standstill.PAUSED)
