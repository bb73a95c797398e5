# SPDX-License-Identifier: Apache-2.0

"""Messages between hosts: lost, late, doubled and out of order.

A call ends once: with an answer, with a refusal by a host without the
product, or by a time-out that says nothing of what has arrived.
"""

import collections

ANSWERED = 'answered'
REFUSED = 'refused'
FAILED = 'failed'

# How much longer than a call waits a late message may take.
# Seconds that a message is late at most.
LATEST = 30.0


class _Call:
    """What the caller of a call waits for."""

    def __init__(self, caller, done):
        self._caller = caller
        self._life = caller.life
        self._done = done
        self._over = False

    def end(self, outcome, answer=None):
        if not self._over and self._caller.life == self._life:
            self._over = True
            self._caller.world.touch(self._caller)
            self._done(outcome, answer)


class Bus:
    """Carries what hosts send, as badly as the scenario says."""

    def __init__(self, loop, random, scenario):
        self._loop = loop
        self._random = random
        self._scenario = scenario
        self.is_bad = scenario.is_bad
        self.sent = collections.Counter()
        self.faults = collections.Counter()

    def cast(self, target, kind, value):
        """Send something that nobody answers."""
        for delay in self._fates(kind):
            self._loop.after(delay, self._arrive, target, kind, value, None)

    def call(self, caller, target, kind, value, done):
        """Ask something.

        :param done: called with an outcome and an answer, unless the caller
            dies before.
        """
        call = _Call(caller, done)
        for delay in [] if caller.mute else self._fates(kind):
            self._loop.after(delay, self._arrive, target, kind, value, call)
        self._loop.after(self._scenario.timeout, call.end, FAILED)

    def _arrive(self, target, kind, value, call):
        if target.mute:
            self.faults['to a mute host'] += 1
            return
        if not target.up:
            self._wait(target, kind, value, call)
            return
        target.world.touch(target)
        outcome, answer = ANSWERED, target.serve(kind, value)
        if answer is None:
            outcome = REFUSED
        if call is not None:
            for delay in self._fates('answer'):
                self._loop.after(delay, call.end, outcome, answer)

    def _wait(self, target, kind, value, call):
        """A message to a host that is down may reach its next life."""
        self.faults['to a dead host'] += 1
        if self._random.random() < 0.8:
            again = self._random.uniform(1, 5)
            self._loop.after(again, self._arrive, target, kind, value, call)

    def _fates(self, kind):
        """Return after which delays a message arrives."""
        self.sent[kind] += 1
        if not self.is_bad:
            return [self._scenario.latency]
        fates = [self._fate()]
        if self._random.random() < self._scenario.double:
            self.faults['doubled'] += 1
            fates.append(self._fate())
        return [fate for fate in fates if fate is not None]

    def _fate(self):
        if self._random.random() < self._scenario.loss:
            self.faults['lost'] += 1
            return None
        if self._random.random() < self._scenario.slow:
            self.faults['late'] += 1
            return self._random.uniform(0, LATEST)
        return self._scenario.latency * self._random.uniform(0.5, 3)
