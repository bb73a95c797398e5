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

"""Sees every status that is written into a migration record.

It is told before a record enters a status and after it has, so a count of
those in progress is never too low and, where slots are kept, never too high.
"""

from collections.abc import Callable
import dataclasses
import threading
import time
from typing import Any

from nova_throttle.demo import report
from nova_throttle.demo import tally

IN_PROGRESS = ('preparing', 'running')

# The conductor has it: nothing that a person need know.
UNTOLD = 'accepted'


@dataclasses.dataclass
class Record:
    """A live migration, as its record says.

    :param at: when it entered each status.
    """

    migration_uuid: str
    instance_uuid: str
    destination: str = ''
    status: str = 'asked'
    at: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def waited(self) -> float:
        """Seconds that it was queued."""
        return self._seconds('queued', ('preparing', *report.FINAL))

    @property
    def took(self) -> float:
        """Seconds that it was in progress."""
        return self._seconds('preparing', report.FINAL)

    def _seconds(self, first: str, last: tuple[str, ...]) -> float:
        if first not in self.at:
            return 0.0
        ends = [self.at[status] for status in last if status in self.at]
        return min(ends, default=time.monotonic()) - self.at[first]


class Records:
    """All live migrations of a drain."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._records: dict[str, Record] = {}
        self._changes: list[Record] = []
        # Those in progress.
        self.tally = tally.Tally()

    def watching(self, save: Callable[..., None]) -> Callable[..., None]:
        """Wrap the method that saves a migration record."""

        def watched(migration: Any, *args: Any, **kwargs: Any) -> None:
            status = migration.status
            if status in IN_PROGRESS:
                self._enter(migration)
            save(migration, *args, **kwargs)
            if migration.migration_type == 'live-migration':
                self._note(migration, status)

        return watched

    def _enter(self, migration: Any) -> None:
        with self._changed:
            self.tally.enter(
                migration.uuid,
                migration.source_compute,
                migration.dest_compute or '',
            )

    def _note(self, migration: Any, status: str) -> None:
        with self._changed:
            if status not in IN_PROGRESS:
                self.tally.leave(migration.uuid)
            record = self._records.setdefault(
                migration.instance_uuid,
                Record(migration.uuid, migration.instance_uuid),
            )
            record.destination = migration.dest_compute or ''
            if status in (UNTOLD, record.status):
                return
            record.status = status
            record.at.setdefault(status, time.monotonic())
            self._changes.append(dataclasses.replace(record))
            self._changed.notify_all()

    def wait(self, timeout: float) -> list[Record]:
        """Return what changed since the last call, or wait for a change."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes, timeout)
            changes, self._changes = self._changes, []
            return changes

    def all(self) -> dict[str, Record]:
        """Return the records by instance UUID."""
        with self._changed:
            return {
                uuid: dataclasses.replace(record, at=dict(record.at))
                for uuid, record in self._records.items()
            }
