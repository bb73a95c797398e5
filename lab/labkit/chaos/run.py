# SPDX-License-Identifier: Apache-2.0

"""One seed: ask what it asks, break what it breaks, heal all of it.

Each request and each fault has a thread of its own, because either may take
as long as what is broken meanwhile.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from collections import Counter
import contextlib
import subprocess
import threading
import time

from labkit.chaos import faults
from labkit.chaos.faults import FAULTS
from labkit.chaos.history import Diary
from labkit.chaos.limits import Limits
from labkit.chaos.schedule import Request
from labkit.chaos.schedule import Schedule
from labkit.chaos.schedule import Trouble
from labkit.cloud import ApiError
from labkit.cloud import Cloud
from labkit.cloud import FINAL
from labkit.cloud import Server
from labkit import computes
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import shell
from labkit.watch import Watch

# A user does not wait longer for an answer.
TIMEOUT = 30


class Run:
    """One seed.

    :param servers: the guests that it may migrate.
    """

    def __init__(
        self, plan: Plan, schedule: Schedule, servers: Sequence[Server]
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._domains = {server.id: server.domain for server in servers}
        self._cloud = Cloud(plan, tries=1, timeout=TIMEOUT)
        self._over = threading.Event()
        self._in_effect: list[tuple[str, ...]] = []
        self._diary = Diary(plan)
        self._begin = time.monotonic()
        self.answers: Counter[str] = Counter()
        self.limits = Limits(schedule.limit, schedule.incoming)
        self.watch = Watch(
            plan,
            self._cloud,
            self._cloud.last_migration(),
            tell=self._diary.note,
        )

    def go(self) -> None:
        """Let it happen; in the end everything is healed in any case."""
        threads = [
            _thread(self._every, 1, self._look),
            _thread(self._every, 1, self._count),
            _thread(self._every, 5, self._restart_dead),
        ]
        try:
            for event in self._schedule.events():
                self._wait(event.at)
                step = self._ask if isinstance(event, Request) else self._break
                threads.append(_thread(step, event))
            self._wait(self._schedule.seconds)
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            self._diary.note('healing everything')
            faults.heal_all(self._plan, self._cloud)
            self._diary.note('all is healed')

    def _wait(self, at: float) -> None:
        self._over.wait(self._begin + at - time.monotonic())

    def _every(self, seconds: float, step: Callable[[], None]) -> None:
        while not self._over.wait(seconds):
            with contextlib.suppress(ApiError, shell.LabError):
                step()

    def _look(self) -> None:
        self.watch.look()

    def _count(self) -> None:
        """Ask all hosts who is there; one may not answer."""
        found = {}
        for host in self._plan.compute_hosts:
            with contextlib.suppress(shell.LabError):
                found[host] = computes.domains(self._plan, host)
        routes = {
            self._domains[m.server]: (m.source, m.destination)
            for m in self.watch.last
            if m.server in self._domains
        }
        self.limits.look(found, routes)

    def _restart_dead(self) -> None:
        spared = [host for hosts in self._in_effect for host in hosts]
        faults.restart_dead(self._plan, spared)

    def _break(self, trouble: Trouble) -> None:
        where = self._where(trouble)
        fault = FAULTS[trouble.fault]
        name = ' '.join([trouble.fault, *where])
        effect = where or (CONTROL,)
        self._in_effect.append(effect)
        try:
            self._diary.note(f'fault begins: {name}, {trouble.seconds} s')
            self._try(name, lambda: fault.begin(self._plan, where))
            self._over.wait(trouble.seconds)
        finally:
            self._try(name, lambda: fault.heal(self._plan, where))
            self._in_effect.remove(effect)
            self._diary.note(f'fault healed: {name}')

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except shell.LabError as error:
            self._diary.note(f'fault {name}: {error}')

    def _where(self, trouble: Trouble) -> tuple[str, ...]:
        """Return the hosts; two are those of a migration, if there is one."""
        running = [m for m in self.watch.last if m.status == 'running']
        if len(trouble.hosts) < 2 or not running:
            return trouble.hosts
        return running[0].source, running[0].destination

    def _ask(self, request: Request) -> None:
        step = self._abort if request.action == 'abort' else self._migrate
        try:
            text = step(request)
            answer = 'accepted' if text else 'nobody'
        except ApiError as error:
            text = f'{request.action}: {error}'[:100]
            answer = 'refused' if error.status else 'no answer'
        if answer != 'nobody':
            self.answers[answer] += 1
            self._diary.note(f'request {answer}: {text}')

    def _abort(self, request: Request) -> str:
        live = [m for m in self.watch.last if m.status not in FINAL]
        if not live:
            return ''
        migration = live[request.pick % len(live)]
        self._cloud.abort(migration)
        return f'abort migration {migration.id} of {migration.server}'

    def _migrate(self, request: Request) -> str:
        resting = [
            server
            for server in self._cloud.servers()
            if server.status == 'ACTIVE' and not server.task_state
        ]
        if not resting:
            return ''
        server = resting[request.pick % len(resting)]
        others = [host for host in request.hosts if host != server.host]
        target = others[0] if others else None
        self._cloud.migrate(server, target)
        route = f'{server.host} -> {target or "any"}'
        return f'migrate {server.name} ({server.id}) {route}'


def _thread(step: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=step, args=arguments)
    thread.start()
    return thread


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep the machine's processors busy with so many processes."""
    command = ('sh', '-c', 'while :; do :; done')
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
