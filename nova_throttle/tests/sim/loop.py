# SPDX-License-Identifier: Apache-2.0

"""What happens, in the order of a virtual clock.

Events of one instant happen in the order in which they were asked for, so a
run depends on nothing but its seed.
"""

import collections
import heapq
import itertools


class Violation(Exception):
    """A rule does not hold."""


class Loop:
    """The clock, what is to happen, and the tail of what has happened.

    :param watch: called after each step.
    """

    def __init__(self, watch):
        self.now = 0.0
        self.steps = 0
        self.tail = collections.deque(maxlen=60)
        self._watch = watch
        self._events = []
        self._sequence = itertools.count()

    def clock(self):
        """Return the time, for whoever takes a monotonic clock."""
        return self.now

    def after(self, delay, function, *args):
        """Have a function called when the clock has moved on."""
        event = (self.now + delay, next(self._sequence), function, args)
        heapq.heappush(self._events, event)

    def note(self, *words):
        """Write into the trace."""
        self.tail.append((self.now, words))

    def run(self, is_over):
        """Let things happen until it is over, or nothing is left."""
        while self._events and not is_over():
            self.now, _sequence, function, args = heapq.heappop(self._events)
            function(*args)
            self.steps += 1
            self._watch()
