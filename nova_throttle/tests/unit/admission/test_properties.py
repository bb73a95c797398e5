# SPDX-License-Identifier: Apache-2.0

"""The rules of the admission core hold for any interleaving.

AdmissionMachine drives a controller and a reference model side by side with
steps that hypothesis chooses. After each step both must agree on everything
that can be seen, and these rules must hold, which know nothing of the model:

R1  no gate gets a new owner without a free slot;
R2  a request owns all its slots or none;
R5  whoever waits has a true reason to;
R6  nobody overtakes among requests that need the same gates, unless it is
    held, or by the head start of a priority;
R7  cancelled is never started, not cancelled is;
R9  nothing starts once stopping has begun, and nothing while paused.

FairnessTestCase proves a bound on waiting.

OS_HYPOTHESIS_PROFILE=thorough tries many more.
"""

import collections
import dataclasses
import itertools
import math
from unittest import mock

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from nova_throttle.admission import controller
from nova_throttle.admission import priority as priority_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle import exception
from nova_throttle.tests.unit.admission import base

Standstill = standstill.Standstill

GATES = ('x', 'y', 'z')

# Of a class, such that it comes to its end in a few steps.
HEAD_START = 3

NOTHING, FAIL, FINISH, CLOSE, SUBMIT, CANCEL = range(6)

# Mostly scarce, so that most wait and turns are reserved.
limits = st.sampled_from((1, 1, 1, 2, 3, 0))
gates = st.lists(
    st.sampled_from(GATES), min_size=1, max_size=3, unique=True
).map(tuple)
priorities = st.integers(0, 2)
picks = st.integers(0, 99)


@dataclasses.dataclass(eq=False)
class Item:
    """What the model knows of a request.

    :param on_start: what it does from inside start.
    """

    request: object
    on_start: int = NOTHING
    sequence: int = 0
    overtaken: int = 0

    @property
    def name(self):
        return self.request.migration_uuid

    @property
    def gates(self):
        return self.request.needs[0].gates

    @property
    def place(self):
        rank = self.sequence + HEAD_START * self.request.priority
        return rank, self.sequence

    def needs(self, gate):
        return gate in self.gates


class Model:
    """The same decisions, made in the plainest way: look at everything."""

    def __init__(self, limits, patience):
        self.limits = dict(limits)
        self.patience = patience
        self.closed = False
        self.paused = False
        self.sequences = itertools.count()
        self.waiting = []
        self.running = []
        self.started = []

    def room(self, gate):
        owners = sum(item.needs(gate) for item in self.running)
        return (self.limits[gate] or math.inf) - owners

    def queue(self):
        return sorted(self.waiting, key=lambda item: item.place)

    def add(self, item):
        item.sequence = next(self.sequences)
        self.waiting.append(item)

    def run(self, act):
        """Start all that can.

        :param act: called with each, once it runs.
        """
        while not self._stands_still and (item := self._next()):
            self.waiting.remove(item)
            self.running.append(item)
            self.started.append(item.name)
            act(item)

    @property
    def _stands_still(self):
        return self.closed or self.paused

    def _next(self):
        kept = collections.Counter()
        passed = []
        for item in self._first_of_their_gates():
            needs = item.gates
            held = item.request.held
            if not held and all(self.room(g) > kept[g] for g in needs):
                for other in passed:
                    other.overtaken += any(map(other.needs, needs))
                return item
            passed.append(item)
            if item.overtaken >= self.patience and not held:
                for gate in needs:
                    kept[gate] += 1
                    if self.room(gate) < kept[gate]:
                        break
        return None

    def _first_of_their_gates(self):
        seen = set()
        for item in self.queue():
            lane = item.gates, item.request.held
            if lane not in seen:
                seen.add(lane)
                yield item


class AdmissionMachine(stateful.RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.numbers = itertools.count()
        self.patch = mock.patch.object(priority_lib, 'HEAD_START', HEAD_START)
        self.patch.start()

    def teardown(self):
        self.patch.stop()

    @stateful.initialize(
        limits=st.fixed_dictionaries(dict.fromkeys(GATES, limits)),
        patience=st.sampled_from((0, 0, 1, 2)),
    )
    def open_a_fresh_one(self, limits, patience):
        self.model = Model(limits, patience)
        self.throttle = controller.Controller(
            {base.STAGE: limits}, self._start, patience=patience
        )
        self.items = {}
        self.started = []
        self.cancelled = set()
        self.in_progress = {}
        self.stopping = self.paused = False

    # What the controller does

    def _start(self, grant):
        item = self.items[grant.request.migration_uuid]
        assert not self.stopping and not self.paused, 'R9'
        assert not item.request.held
        assert item.name not in self.cancelled, 'R7'
        assert item.name not in self.started
        self._assert_in_order(item)
        self.started.append(item.name)
        self.in_progress[item.name] = item
        self._assert_slots_were_free(item)
        self._act(item)

    def _assert_slots_were_free(self, item):
        for gate in item.gates:
            owners = sum(i.needs(gate) for i in self.in_progress.values())
            limit = self.model.limits[gate]
            assert not limit or owners <= limit, 'R1'

    def _assert_in_order(self, item):
        for request in self.throttle.waiting():
            other = self.items[request.migration_uuid]
            if set(other.gates) == set(item.gates) and not request.held:
                assert item.place < other.place, 'R6'

    def _act(self, item):
        if item.on_start == FAIL:
            del self.in_progress[item.name]
            raise ValueError(item.name)
        if item.on_start == FINISH:
            del self.in_progress[item.name]
            assert self.throttle.finish(item.name)
        elif item.on_start == CLOSE:
            self.stopping = True
            self.throttle.halt(Standstill.STOPPING)
        elif item.on_start == SUBMIT and not self.stopping:
            self.throttle.submit(self._child(item).request)
        elif item.on_start == CANCEL:
            for request in self.throttle.waiting()[:1]:
                self.cancelled.add(request.migration_uuid)
                assert request.ticket.cancel(), 'R7'

    # What the model does

    def _act_in_model(self, item):
        model = self.model
        if item.on_start in (FAIL, FINISH):
            model.running.remove(item)
        elif item.on_start == CLOSE:
            model.closed = True
        elif item.on_start == SUBMIT and not model.closed:
            model.add(self._child(item))
        elif item.on_start == CANCEL and model.waiting:
            model.waiting.remove(model.queue()[0])

    def _run_model(self):
        self.model.run(self._act_in_model)

    # Requests

    def _item(self, name, *args, on_start=NOTHING, **kwargs):
        request = base.make_request(name, *args, **kwargs)
        item = Item(request, on_start)
        self.items[name] = item
        return item

    def _child(self, item):
        """Return what a request submits from start: one like itself."""
        name = f'{item.name}+'
        if name not in self.items:
            self._item(name, *item.gates, priority=item.request.priority)
        return self.items[name]

    # Steps

    @stateful.rule(
        some=st.lists(
            st.tuples(
                gates,
                priorities,
                st.just(NOTHING) | st.sampled_from(range(6)),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def submit(self, some):
        for needs, priority, on_start in some:
            self._submit(
                self._item(
                    str(next(self.numbers)),
                    *needs,
                    priority=priority,
                    on_start=on_start,
                )
            )

    @stateful.rule(gates=gates)
    def submit_cancelled(self, gates):
        item = self._item(str(next(self.numbers)), *gates)
        item.request.ticket.cancel()
        self.cancelled.add(item.name)
        if not self.stopping:
            self.throttle.submit(item.request)

    @stateful.precondition(lambda self: self.items)
    @stateful.rule(pick=picks)
    def submit_again(self, pick):
        item = list(self.items.values())[pick % len(self.items)]
        refused = (exception.DuplicateRequest, exception.AdmissionClosed)
        if item.name not in self.cancelled:
            self._assert_raises(refused, self.throttle.submit, item.request)

    @stateful.precondition(lambda self: self.model.waiting)
    @stateful.rule(pick=picks, by_name=st.booleans())
    def cancel_queued(self, pick, by_name):
        item = self.model.queue()[pick % len(self.model.waiting)]
        self.model.waiting.remove(item)
        self.cancelled.add(item.name)
        cancelled = (
            self.throttle.cancel(item.name)
            if by_name
            else item.request.ticket.cancel()
        )
        assert cancelled, 'R7'
        self._run_model()

    @stateful.precondition(lambda self: self.items)
    @stateful.rule(pick=picks)
    def cancel_what_does_not_wait(self, pick):
        item = list(self.items.values())[pick % len(self.items)]
        if item not in self.model.waiting:
            assert not self.throttle.cancel(item.name), 'R7'
            if item.name not in self.cancelled:
                assert not item.request.ticket.cancel(), 'R7'

    @stateful.precondition(lambda self: self.model.waiting)
    @stateful.rule(pick=picks, priority=priorities)
    def set_priority(self, pick, priority):
        self._change(pick, priority=priority)

    @stateful.precondition(lambda self: self.model.waiting)
    @stateful.rule(pick=picks)
    def promote(self, pick):
        item = self._change(pick, priority=priority_lib.Priority.PROMOTED)
        for request in self.throttle.waiting():
            other = self.items[request.migration_uuid]
            if other.request.priority != item.request.priority:
                assert item.place < other.place

    @stateful.precondition(lambda self: self.model.waiting)
    @stateful.rule(pick=picks)
    def hold(self, pick):
        self._change(pick, held=True)

    @stateful.precondition(
        lambda self: any(i.request.held for i in self.model.waiting)
    )
    @stateful.rule(pick=picks)
    def release(self, pick):
        held = [i for i in self.model.queue() if i.request.held]
        item = held[pick % len(held)]
        self._change(self.model.queue().index(item), held=False)

    def _change(self, pick, **values):
        item = self.model.queue()[pick % len(self.model.waiting)]
        ticket = item.request.ticket
        item.request = dataclasses.replace(item.request, **values)
        changed = self.throttle.change(item.name, **values)
        assert changed.ticket is ticket, 'R7'
        self._run_model()
        return item

    @stateful.precondition(lambda self: self.items)
    @stateful.rule(pick=picks)
    def change_what_does_not_wait(self, pick):
        item = list(self.items.values())[pick % len(self.items)]
        if item not in self.model.waiting:
            for values in ({'priority': 2}, {'held': True}):
                try:
                    self.throttle.change(item.name, **values)
                except exception.NotQueued:
                    continue
                raise AssertionError(f'{item.name} does not wait')

    @stateful.precondition(lambda self: self.model.running)
    @stateful.rule(pick=picks)
    def finish(self, pick):
        item = self.model.running[pick % len(self.model.running)]
        self.model.running.remove(item)
        del self.in_progress[item.name]
        assert self.throttle.finish(item.name)
        self._run_model()

    @stateful.precondition(lambda self: self.items)
    @stateful.rule(pick=picks)
    def finish_what_does_not_run(self, pick):
        name = [*self.items, 'unknown'][pick % (len(self.items) + 1)]
        if name not in self.in_progress:
            assert not self.throttle.finish(name)

    @stateful.rule(gate=st.sampled_from(GATES), limit=limits)
    def resize(self, gate, limit):
        self.model.limits[gate] = limit
        self.throttle.resize(gate, limit)
        self._run_model()

    @stateful.rule(gate=st.sampled_from(GATES))
    def resize_to_nonsense(self, gate):
        self._assert_raises(
            exception.InvalidLimit, self.throttle.resize, gate, -1
        )

    @stateful.rule(pick=picks)
    def close(self, pick):
        # Not often, or little else happens.
        if pick % 8 == 0:
            self.stopping = self.model.closed = True
            self.throttle.halt(Standstill.STOPPING)

    @stateful.rule(pick=picks)
    def pause(self, pick):
        if pick % 8 == 0:
            self.paused = self.model.paused = True
            self.throttle.halt(Standstill.PAUSED)

    @stateful.precondition(lambda self: self.paused)
    @stateful.rule()
    def resume(self):
        self.paused = self.model.paused = False
        self.throttle.resume(Standstill.PAUSED)
        self._run_model()

    @stateful.precondition(lambda self: self.stopping)
    @stateful.rule()
    def open(self):
        self.stopping = self.model.closed = False
        self.throttle.resume(Standstill.STOPPING)
        self._run_model()

    @stateful.precondition(lambda self: self.stopping)
    @stateful.rule(
        limits=st.fixed_dictionaries(dict.fromkeys(GATES, limits)),
        patience=st.sampled_from((0, 0, 1, 2)),
    )
    def restart(self, limits, patience):
        """What waited when it stopped waits in a fresh controller."""
        before = self.model.queue()
        paused = self.paused
        self.open_a_fresh_one(limits, patience)
        if paused:
            self.paused = self.model.paused = True
            self.throttle.halt(Standstill.PAUSED)
        for item in before:
            item.request.ticket.cancel()
            again = self._item(
                item.name,
                *item.gates,
                priority=item.request.priority,
            )
            held = item.request.held
            again.request = dataclasses.replace(again.request, held=held)
            self._submit(again)

    def _submit(self, item):
        if self.stopping:
            del self.items[item.name]
            self._assert_raises(
                exception.AdmissionClosed, self.throttle.submit, item.request
            )
        else:
            self.model.add(item)
            self.throttle.submit(item.request)
            self._run_model()

    @staticmethod
    def _assert_raises(expected, function, *args):
        try:
            function(*args)
        except expected:
            return
        raise AssertionError(f'{function} did not raise {expected}')

    # What holds after each step

    @stateful.invariant()
    def agrees_with_the_model(self):
        snapshot = self.throttle.snapshot()
        assert self.started == self.model.started
        assert snapshot.closed == self.model.closed
        queue = [entry.migration_uuid for entry in snapshot.queue]
        assert queue == [item.name for item in self.model.queue()]
        assert [e.position for e in snapshot.queue] == [
            position for position, _ in enumerate(queue, 1)
        ]
        for name, gate in snapshot.gates.items():
            assert gate.limit == self.model.limits[name]
            # R2: all that run own each of their slots, nobody else any.
            assert sorted(gate.owners) == sorted(
                i.name for i in self.in_progress.values() if i.needs(name)
            )

    @stateful.invariant()
    def tickets_tell_the_truth(self):
        for name, item in self.items.items():
            ticket = item.request.ticket
            assert ticket.cancelled() == (name in self.cancelled), 'R7'
            assert ticket.running() == (name in self.in_progress)
            if name in self.started and ticket.done():
                failed = isinstance(ticket.exception(0), ValueError)
                assert failed == (item.on_start == FAIL)

    @stateful.invariant()
    def whoever_waits_has_a_true_reason(self):
        snapshot = self.throttle.snapshot()
        for entry in snapshot.queue:
            assert entry.waits_for, 'R5'
            for wait in entry.waits_for:
                self._assert_true(wait, self.items[entry.migration_uuid])

    def _assert_true(self, wait, item):
        if wait.reason is snapshot_lib.WaitReason.STOPPING:
            assert self.stopping
            return
        if wait.reason is snapshot_lib.WaitReason.PAUSED:
            assert self.paused
            return
        if wait.reason is snapshot_lib.WaitReason.HELD:
            assert item.request.held
            return
        assert item.needs(wait.gate)
        assert wait.limit == self.model.limits[wait.gate]
        if wait.reason is snapshot_lib.WaitReason.GATE_FULL:
            assert len(wait.owners) >= wait.limit > 0
            return
        # As many slots are free as people before it have lost patience.
        free = wait.limit - len(wait.owners)
        keepers = sum(
            other.needs(wait.gate)
            and other.place < item.place
            and other.overtaken >= self.model.patience
            and not other.request.held
            for other in self.model.waiting
        )
        assert 0 < free <= keepers


AdmissionTestCase = AdmissionMachine.TestCase
AdmissionTestCase.settings = base.settings(500, stateful_step_count=50)


class FairnessTestCase(base.CoreTestCase):
    """Nobody starves, whatever arrives, as long as all finish in turn.

    Let a round be as many finishes as there are slots, the longest-running
    first: all that ran when it began are over at its end. Take the first in
    the order. In a round in which nobody overtakes it, its gates only get
    emptier, so it starts at the latest at the end. So after at most
    patience rounds its turn is reserved; from then on, one round after the
    other, each of its gates gets a slot that nobody else may take. It
    starts within (patience + its gates) rounds; then the next is the first.

    Whoever arrives later with a better priority is before it in the order
    only by its head start: these are so many more that are ahead.
    """

    def setUp(self):
        super().setUp()
        self.patch(priority_lib, 'HEAD_START', HEAD_START)

    @base.settings(300)
    @hypothesis.given(
        limits=st.fixed_dictionaries(dict.fromkeys(GATES, st.integers(1, 3))),
        patience=st.integers(0, 4),
        ahead=st.lists(st.tuples(gates, priorities), max_size=8),
        patient=gates,
        arrivals=st.randoms(use_true_random=False),
    )
    def test_bound(self, limits, patience, ahead, patient, arrivals):
        self.started = []
        self.make_controller(patience=patience, **limits)
        for number, (needs, priority) in enumerate(ahead):
            self.submit(f'ahead {number}', *needs, priority=priority)
        self.submit('patient', *patient, priority=2)
        # Of two classes above.
        turns = max(1, len(self.queued())) + 2 * HEAD_START
        round_ = sum(limits.values())
        bound = turns * (patience + 3) * round_
        for number in range(bound):
            if 'patient' in self.started:
                break
            for extra in range(3):
                needs = arrivals.sample(GATES, arrivals.randint(1, 3))
                priority = arrivals.randint(0, 2)
                self.submit(
                    f'later {number} {extra}', *needs, priority=priority
                )
            self.throttle.finish(self.started[number])
        self.assertIn('patient', self.started)

    def test_the_worst_arrivals(self):
        """For ever one more of each gate that it needs."""
        self.make_controller(patience=8, x=1, y=1, z=1)
        names = [f'{gate} first' for gate in 'xyz']
        for name in names:
            self.submit(name, name[0])
        self.submit('patient', 'x', 'y', 'z')
        for number in range(3 * (8 + 3)):
            if 'patient' in self.started:
                break
            for gate in 'xyz':
                self.submit(f'{gate} {number}', gate)
            self.throttle.finish(self.started[number])
        self.assertIn('patient', self.started)
        self.assertLess(8, number)
