# SPDX-License-Identifier: Apache-2.0

"""The rules of the admission core hold on real threads.

HammerTestCase counts owners on its own, in start and before finish: the
count never exceeds the largest limit in force, every request starts once or
is cancelled, and everything comes to an end. LockTestCase shows why: the
lock is held at every touch of the queue and of the gates, and never while
foreign code runs.
"""

import collections
from concurrent import futures
import queue
import random
import sys
import threading

from nova_throttle.admission import controller
from nova_throttle.admission import priority as priority_lib
from nova_throttle.admission import standstill
from nova_throttle import exception
from nova_throttle.tests.unit.admission import base

Standstill = standstill.Standstill

# The largest limits in force.
GATES = {'source': 3, 'x': 2, 'y': 1}
NEEDS = (
    ('source',),
    ('x', 'source'),
    ('y', 'source'),
    ('y', 'x', 'source'),
    ('x', 'y'),
)
REQUESTS = 3000
SUBMITTERS, CANCELLERS, FINISHERS, RESIZERS = 6, 4, 4, 2
END = None


class Ledger:
    """Counts owners without asking the controller."""

    def __init__(self):
        self.starts = collections.Counter()
        self.owners = collections.Counter()
        self.most = collections.Counter()
        self.running = queue.SimpleQueue()
        self.busy = threading.Event()
        self._lock = threading.Lock()

    def enter(self, grant):
        request = grant.request
        with self._lock:
            self.starts[request.migration_uuid] += 1
            for gate in request.needs[0].gates:
                self.owners[gate] += 1
                self.most[gate] = max(self.most[gate], self.owners[gate])
            if len(self.starts) == REQUESTS // 10:
                self.busy.set()
        self.running.put(request)

    def leave(self, request):
        with self._lock:
            self.owners.subtract(request.needs[0].gates)

    def started(self):
        with self._lock:
            return set(self.starts)


class HammerTestCase(base.CoreTestCase):
    def setUp(self):
        super().setUp()
        # So that threads meet at every place, not at few.
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-5)
        self.ledger = Ledger()
        self.throttle = controller.Controller(
            {base.STAGE: GATES}, self.ledger.enter, patience=2
        )
        dice = random.Random(1)
        self.requests = [
            base.make_request(
                str(number),
                *dice.choice(NEEDS),
                priority=dice.randrange(3),
            )
            for number in range(REQUESTS)
        ]
        self.to_cancel = queue.SimpleQueue()
        self.cancelled = collections.deque()
        self.crew = base.Crew(self)
        self.helpers = base.Crew(self)

    def start_crew(self):
        for number in range(FINISHERS):
            self.helpers.start(self.finish_all, number)
        for number in range(CANCELLERS):
            self.helpers.start(self.cancel_some, number)
        for number in range(RESIZERS):
            self.crew.start(self.resize_often, number)
        for number in range(SUBMITTERS):
            self.crew.start(self.submit_share, number)

    def submit_share(self, number):
        dice = random.Random(number)
        try:
            for request in self.requests[number::SUBMITTERS]:
                # Some are cancelled before, some while, some after.
                if dice.random() < 0.3:
                    self.to_cancel.put(request)
                self.throttle.submit(request)
                if dice.random() < 0.3:
                    self.to_cancel.put(request)
        except exception.AdmissionClosed:
            self.assertTrue(self.throttle.closed)

    def cancel_some(self, number):
        dice = random.Random(number)
        for request in iter(self.to_cancel.get, END):
            name = request.migration_uuid
            if dice.random() < 0.5:
                cancelled = request.ticket.cancel()
            else:
                cancelled = self.throttle.cancel(name)
            if cancelled:
                self.cancelled.append(name)
        # For the next one.
        self.to_cancel.put(END)

    def finish_all(self, number):
        dice = random.Random(number)
        for request in iter(self.ledger.running.get, END):
            name = request.migration_uuid
            self.ledger.leave(request)
            self.assertTrue(self.throttle.finish(name))
            if dice.random() < 0.3:
                self.assertFalse(self.throttle.finish(name))
        self.ledger.running.put(END)

    def resize_often(self, number):
        dice = random.Random(number)
        for _ in range(REQUESTS // 5):
            gate = dice.choice(list(GATES))
            self.throttle.resize(gate, dice.randint(1, GATES[gate]))
            self.throttle.snapshot()

    def assert_no_over_grant(self):
        for gate, limit in GATES.items():
            self.assertLessEqual(self.ledger.most[gate], limit)
        self.assertEqual({1}, set(self.ledger.starts.values()))
        self.assertEqual(
            set(), self.ledger.started().intersection(self.cancelled)
        )

    def test_nothing_is_lost(self):
        self.start_crew()
        self.crew.join()
        self.to_cancel.put(END)
        _, lost = futures.wait(
            [request.ticket for request in self.requests], base.PATIENCE
        )
        self.ledger.running.put(END)
        self.helpers.join()
        self.assertEqual(set(), lost, self.throttle)
        self.assert_no_over_grant()
        over = {
            r.migration_uuid for r in self.requests if not r.ticket.cancelled()
        }
        self.assertEqual(over, self.ledger.started())
        self.assertEqual({0}, set(self.ledger.owners.values()))
        self.assert_idle()

    def test_close_ends_all_starts(self):
        def close():
            self.assertTrue(self.ledger.busy.wait(base.PATIENCE))
            self.throttle.halt(Standstill.STOPPING)
            # Whoever was admitted before is an owner or has started.
            gates = self.throttle.snapshot().gates.values()
            admitted.update(*(gate.owners for gate in gates))
            admitted.update(self.ledger.started())

        admitted = set()
        self.crew.start(close)
        self.start_crew()
        self.crew.join()
        self.to_cancel.put(END)
        self.ledger.running.put(END)
        self.helpers.join()
        self.assert_no_over_grant()
        self.assertEqual(set(), self.ledger.started() - admitted)
        for name, gate in self.throttle.snapshot().gates.items():
            self.assertEqual(self.ledger.owners[name], len(gate.owners))

    def test_cancel_or_start(self):
        """Both at once: one of them happens, never both, never none."""
        self.throttle = controller.Controller(
            {base.STAGE: {'x': 1}}, self.ledger.enter
        )
        for number in range(200):
            self.submit(f'first {number}', 'x')
            raced = self.submit(f'second {number}', 'x')
            barrier = threading.Barrier(3)
            answers = collections.deque()

            def cancel(by, *args, barrier=barrier, answers=answers):
                barrier.wait(base.PATIENCE)
                answers.append(by(*args))

            crew = base.Crew(self)
            crew.start(cancel, raced.ticket.cancel)
            crew.start(cancel, self.throttle.cancel, f'second {number}')
            barrier.wait(base.PATIENCE)
            self.throttle.finish(f'first {number}')
            crew.join()
            started = f'second {number}' in self.ledger.starts
            self.assertEqual(not started, any(answers))
            self.throttle.finish(f'second {number}')
            self.assert_idle()


class OwnedLock:
    """A lock that knows its owner."""

    def __init__(self):
        self._lock = threading.Lock()
        self._owner = None

    def __enter__(self):
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *error):
        self._owner = None
        self._lock.release()

    def is_mine(self):
        return self._owner == threading.get_ident()


class Guarded:
    """Stands before a thing and tells of every touch."""

    def __init__(self, thing, check):
        self._thing = thing
        self._check = check

    def __getattr__(self, name):
        self._check()
        return getattr(self._thing, name)

    def __contains__(self, key):
        self._check()
        return key in self._thing

    def __iter__(self):
        self._check()
        return iter(self._thing)

    def __len__(self):
        self._check()
        return len(self._thing)

    def __getitem__(self, key):
        self._check()
        return self._thing[key]

    def __setitem__(self, key, value):
        self._check()
        self._thing[key] = value

    def __delitem__(self, key):
        self._check()
        del self._thing[key]


class LockTestCase(base.CoreTestCase):
    """White box: what other threads could see is touched with the lock."""

    def setUp(self):
        super().setUp()
        self.touches = set()
        self.foreign = []
        throttle = self.make_controller(source=1)
        self.lock = throttle._lock = OwnedLock()
        admission = throttle._admission
        admission.members = self._guard(admission.members)
        admission.stages = self._guard(admission.stages)
        throttle._admission = self._guard(admission)

    def _guard(self, thing):
        return Guarded(thing, lambda: self.touches.add(self.lock.is_mine()))

    def _foreign(self, _):
        # Not an assertion: a Future swallows what its callbacks raise.
        self.foreign.append(self.lock.is_mine())

    def _fail(self, request):
        self._foreign(request)
        raise ValueError

    def _submit(self, name, on_start):
        self.on_start[name] = on_start
        request = base.make_request(name, 'source')
        request.ticket.add_done_callback(self._foreign)
        self.throttle.submit(request)
        return request

    def test_a_snapshot_is_put_in_order_without_the_lock(self):
        """It held the lock for 7 ms at 5000 queued."""
        compared = set()
        lock = self.lock

        class Rank(int):
            def __lt__(self, other):
                compared.add(lock.is_mine())
                return int(self) < int(other)

        rank = priority_lib.rank
        self.patch(priority_lib, 'rank', lambda *args: Rank(rank(*args)))
        self.submit('a', 'source')
        for name, priority in zip('bcd', (3, 2, 1), strict=True):
            self.submit(name, 'source', priority=priority)
        compared.clear()
        queue = self.throttle.snapshot().queue
        self.assertEqual(list('dcb'), [e.migration_uuid for e in queue])
        self.assertEqual({False}, compared)

    def test_lock(self):
        self._submit('a', self._foreign)
        self._submit('b', self._foreign)
        by_ticket = self._submit('c', self._foreign)
        self._submit('d', self._fail)
        self._submit('e', self._foreign)
        self.throttle.cancel('b')
        by_ticket.ticket.cancel()
        self.throttle.finish('a')
        self.throttle.finish('unknown')
        self.assertRaises(
            exception.DuplicateRequest, self._submit, 'e', self._foreign
        )
        self._submit('f', self._foreign)
        self.throttle.halt(Standstill.STOPPING)
        self.throttle.resume(Standstill.STOPPING)
        self.throttle.resize('source', 2)
        self.throttle.snapshot()
        self.throttle.waiting()
        self.assertEqual(['a', 'd', 'e', 'f'], self.started)
        # Four starts; four ends, two of them by a cancel.
        self.assertEqual([False] * 8, self.foreign)
        self.assertEqual({True}, self.touches)
