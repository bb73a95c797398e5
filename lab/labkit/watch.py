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

"""Watch live migrations, and keep what was seen.

The history has the time of each change of a status, as the API showed it;
libvirt is asked who is incoming, independently of Nova and of us.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections import Counter
import dataclasses
import time
from typing import Any

from labkit.cloud import ApiError
from labkit.cloud import Cloud
from labkit.cloud import FINAL
from labkit.cloud import Migration
from labkit import computes
from labkit.plan import Plan
from labkit import shell

IN_PROGRESS = ('preparing', 'running')


@dataclasses.dataclass
class Watch:
    """What was seen of the migrations after one.

    :param after: the highest id of a migration before.
    :param incoming_on: count the domains that arrive on this host.
    :param ask: returns the records; the API by default.
    :param tell: is told of each change.
    """

    plan: Plan
    cloud: Cloud
    after: int
    incoming_on: str = ''
    ask: Callable[[], list[Migration]] | None = None
    tell: Callable[[str], None] = shell.say
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    most_out: int = 0
    most_in: int = 0
    most_incoming: int = 0
    begin: float = dataclasses.field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._seen: dict[int, str] = {}
        self.last: list[Migration] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the watch began."""
        return round(time.monotonic() - self.begin, 1)

    def look(self) -> list[Migration]:
        """Look once."""
        ask = self.ask or (lambda: self.cloud.migrations(self.after))
        self.last = ask()
        at = self.elapsed
        for migration in self.last:
            if self._seen.get(migration.id) != migration.status:
                self._note(migration, at)
        self._count()
        return self.last

    def _note(self, migration: Migration, at: float) -> None:
        self._seen[migration.id] = migration.status
        line = {
            'at': at,
            'id': migration.id,
            'server': migration.server,
            'from': migration.source,
            'to': migration.destination,
            'status': migration.status,
        }
        self.history.append(line)
        self.tell(
            f'{at:6.1f} s  migration {migration.id} '
            f'{migration.source} -> {migration.destination} '
            f'{migration.status}'
        )

    def _count(self) -> None:
        active = [m for m in self.last if m.status in IN_PROGRESS]
        self.most_out = max(self.most_out, _most(m.source for m in active))
        self.most_in = max(self.most_in, _most(m.destination for m in active))
        if self.incoming_on:
            arriving = incoming(self.plan, self.incoming_on)
            self.most_incoming = max(self.most_incoming, arriving)

    def until(
        self,
        what: str,
        check: Callable[['Watch'], bool],
        seconds: float,
        every: float = 0.5,
    ) -> None:
        """Look until something is true.

        :raises LabError: the time is over.
        """

        def look() -> bool:
            try:
                self.look()
            except ApiError:
                return False
            return check(self)

        shell.wait_for(what, look, seconds, every)

    def until_one_runs(self, count: int, seconds: float) -> None:
        """Look until one of ``count`` runs and the others are queued.

        :raises LabError: the time is over.
        """
        self.until(
            'one running, the others queued',
            lambda watch: (
                watch.count('running') == 1
                and watch.count('queued') == count - 1
            ),
            seconds,
        )

    def until_over(self, count: int, seconds: float) -> bool:
        """Look until ``count`` migrations are over.

        :returns: whether they are, within the time.
        """
        try:
            self.until(
                f'end of {count} migrations',
                lambda watch: watch.over() >= count,
                seconds,
            )
        except shell.LabError:
            return False
        return True

    def over(self) -> int:
        """Return how many have a final status."""
        return sum(m.status in FINAL for m in self.last)

    def count(self, status: str) -> int:
        """Return how many have a status."""
        return sum(m.status == status for m in self.last)

    def ever(self, status: str) -> int:
        """Return how many had a status at some time."""
        return len({h['id'] for h in self.history if h['status'] == status})

    def statuses(self) -> str:
        """Return how many have each status, in words."""
        found = Counter(m.status for m in self.last)
        return ', '.join(
            f'{n} {status}' for status, n in sorted(found.items())
        )


def incoming(plan: Plan, host: str) -> int:
    """Return how many domains arrive on a host, by libvirt.

    A domain is paused there until all of it has arrived.
    """
    words = ('list', '--state-paused', '--name')
    return len(computes.virsh(plan, host, *words, check=False).split())


def _most(names: Iterable[str]) -> int:
    return max(Counter(names).values(), default=0)
