# SPDX-License-Identifier: Apache-2.0

"""One true host always, and never stuck: hypothesis tries to prove otherwise.

The services of three hosts do what they do for one server, one step at a
time and in any order. Each step may fail, and its answer be lost; each
service may die at each step; the last message may come twice, and late; and
the server is migrated on as soon as it may be. In the end the faults stop,
and then a few attempts must be enough.
"""

from hypothesis import stateful
from hypothesis import strategies as st

from nova_throttle.outcome import verdict
from nova_throttle.tests.unit.admission import base as admission
from nova_throttle.tests.unit.outcome import halves
from nova_throttle.tests.unit.outcome import world as world_lib

HOSTS = world_lib.HOSTS
Verdict = verdict.Verdict

# Attempts after the last fault, and the steps that one may have.
ATTEMPTS = 8
STEPS = 200

hosts = st.sampled_from(HOSTS)
numbers = st.integers(0, 9)


class Thread:
    """A thread of a service, which may wait for one of another.

    :param host: where it runs.
    :param name: what it works on: a thread of its own for each.
    """

    def __init__(self, host, name, steps):
        self.host = host
        self.name = name
        self.call = None
        self.result = self.error = None
        self.begun = self.done = False
        self._steps = steps

    @property
    def waits(self):
        return self.call is not None and not self.call.done

    def kill(self):
        self._steps.close()
        self.done, self.error = True, world_lib.Fault()

    def advance(self, fails=False):
        """Take one step; return what it calls, if anything."""
        self.begun = True
        call, self.call = self.call, None
        error = call and call.error
        if fails:
            error = world_lib.Fault()
        try:
            if error:
                return self._steps.throw(error)
            return self._steps.send(call and call.result)
        except StopIteration as stopped:
            self.done, self.result = True, stopped.value
        except halves.FAULTS as failure:
            self.done, self.error = True, failure
        return None


class CompletionMachine(stateful.RuleBasedStateMachine):
    """Three hosts, one server, and all that may go wrong."""

    def __init__(self):
        super().__init__()
        self.world = world_lib.World()
        self.up = set(HOSTS)
        self.threads = []
        # The migrations that a service has in its driver.
        self.driven = set()
        self.sent = []

    # What a user and an administrator do

    def may_migrate(self):
        world = self.world
        return (
            world.server.task_state is None
            and world.server.host == world.guest
            and world.server.host in self.up
            and world.moving is None
            and not world.in_hand(world.guest)
            # An attempt is shorter than a whole migration.
            and not any(thread.begun for thread in self.threads)
        )

    @stateful.precondition(lambda self: self.may_migrate())
    @stateful.rule(dest=hosts)
    def migrate(self, dest):
        if dest != self.world.guest and dest in self.up:
            self.driven.add(self.world.begin(dest).uuid)

    def may_be_refused(self):
        host = self.world.server.host
        return host in self.up and self.world.in_hand(host)

    @stateful.precondition(lambda self: self.may_be_refused())
    @stateful.rule(dest=hosts)
    def ask_again(self, dest):
        """Ask for another one of a server whose state was reset."""
        if dest != self.world.server.host:
            self.world.refuse(dest)

    def is_at_rest(self):
        return self.world.server.task_state is None

    @stateful.precondition(lambda self: self.is_at_rest() and self.open())
    @stateful.rule()
    def begin_snapshot(self):
        self.world.server.task_state = 'image_snapshot'

    def is_busy(self):
        return self.world.server.task_state == 'image_snapshot'

    @stateful.precondition(lambda self: self.is_busy())
    @stateful.rule()
    def end_snapshot(self):
        self.world.server.task_state = None

    # What the hypervisors do, and what a driver makes of it

    @stateful.precondition(lambda self: self.world.moving is not None)
    @stateful.rule(
        succeeds=st.booleans(),
        believed=st.sampled_from((Verdict.ARRIVED, Verdict.STAYED)),
    )
    def end_transfer(self, succeeds, believed):
        record = self.world.moving
        self.world.end(succeeds)
        source = record.source_compute
        if record.uuid in self.driven:
            entry = self.world.journals[source][record.uuid]
            self.driven.discard(record.uuid)
            self.spawn(
                source,
                record.uuid,
                halves.end(self.world, source, entry, believed, succeeds),
            )

    # What the services do

    def spawn(self, host, name, steps):
        thread = Thread(host, name, steps)
        self.threads.append(thread)
        return thread

    def can_resume(self, host, uuid):
        busy = any(t.name == uuid and t.host == host for t in self.threads)
        return host in self.up and uuid not in self.driven and not busy

    def resumable(self):
        return [
            (host, entry)
            for host in HOSTS
            for uuid, entry in self.world.journals[host].items()
            if self.can_resume(host, uuid)
        ]

    @stateful.precondition(lambda self: self.resumable())
    @stateful.rule(which=numbers)
    def resume(self, which):
        found = self.resumable()
        host, entry = found[which % len(found)]
        steps = halves.resume(self.world, host, entry)
        self.spawn(host, entry.record.uuid, steps)

    def runnable(self):
        return [thread for thread in self.threads if not thread.waits]

    @stateful.precondition(lambda self: self.runnable())
    @stateful.rule(which=numbers, steps=st.integers(1, 9))
    def run(self, which, steps):
        for _ in range(steps):
            found = self.runnable()
            if found:
                self.step(found[which % len(found)])

    @stateful.precondition(lambda self: self.runnable())
    @stateful.rule(which=numbers, after=numbers)
    def fail(self, which, after):
        """Have a step fail, or the answer to the one before it be lost."""
        self.run(which, after)
        found = self.runnable()
        if found:
            thread = found[which % len(found)]
            self.step(thread, fails=thread.begun)

    def step(self, thread, fails=False):
        call = thread.advance(fails)
        if isinstance(call, halves.Call):
            self.sent.append(call)
            thread.call = self.serve(call)
        self.threads = [t for t in self.threads if not t.done]

    def serve(self, call):
        served = self.spawn(call.host, 'handler', call.make())
        if call.host not in self.up:
            served.kill()
        return served

    @stateful.precondition(lambda self: self.sent)
    @stateful.rule(which=numbers)
    def repeat(self, which):
        """Deliver a message once more, however old it is."""
        self.serve(self.sent[which % len(self.sent)])
        self.threads = [t for t in self.threads if not t.done]

    def dead(self):
        return [
            record
            for record in self.world.records
            if record.status == 'running'
            and record.dest_compute in self.up
            and record.source_compute not in self.up
        ]

    @stateful.precondition(lambda self: self.dead())
    @stateful.rule(which=numbers)
    def look_for_dead(self, which):
        found = self.dead()
        record = found[which % len(found)]
        host = record.dest_compute
        steps = halves.take_over_of_dead(self.world, host, record)
        self.spawn(host, 'dead', steps)

    # What becomes of the services

    def open(self):
        """Return the hosts that have something to do still."""
        return sorted(
            {host for host in HOSTS if self.world.journals[host]}
            | {thread.host for thread in self.threads}
        )

    @stateful.precondition(lambda self: self.open())
    @stateful.rule(which=numbers)
    def crash(self, which):
        found = self.open()
        host = found[which % len(found)]
        self.up.discard(host)
        for thread in self.threads:
            if thread.host == host:
                thread.kill()
        self.threads = [t for t in self.threads if not t.done]
        self.driven -= set(self.world.journals[host])

    @stateful.precondition(lambda self: len(self.up) < len(HOSTS))
    @stateful.rule()
    def start(self):
        self.up = set(HOSTS)

    @stateful.rule()
    def drain(self):
        """Let what was begun come to its end, as far as it can."""
        for _ in range(STEPS):
            found = self.runnable()
            if not found:
                return
            self.step(found[0])

    # In the end

    def teardown(self):
        """Stop all faults; what is wrong then stays wrong for ever."""
        self.up = set(HOSTS)
        if self.is_busy():
            self.end_snapshot()
        self.drain()
        if self.world.moving is not None:
            self.end_transfer(True, Verdict.ARRIVED)
        for _ in range(ATTEMPTS):
            for host, entry in self.resumable():
                steps = halves.resume(self.world, host, entry)
                self.spawn(host, entry.record.uuid, steps)
            self.drain()
        for call in self.sent:
            # One at a time: there may be many, and each has its steps.
            self.serve(call)
            self.drain()
        assert not self.threads, 'an attempt does not end'
        self.world.assert_quiet()


CompletionMachineTestCase = CompletionMachine.TestCase
CompletionMachineTestCase.settings = admission.settings(
    400, stateful_step_count=40
)
