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

"""The rows of a journal in memory, in their order.

A migration has one row at most, and keeps its place until it is removed; a
file that could be read only later adds what we had not heard of.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import time

from nova_throttle.journal import row as row_lib


class Memory:
    """Rows by their place.

    ``loaded`` is True once the file was read: from then on what is not here
    is not in the journal.
    """

    def __init__(self) -> None:
        self.rows: dict[int, row_lib.Row] = {}
        self.loaded = False
        self._places: dict[str, int] = {}
        self._removed: set[str] = set()
        self._last = 0

    def find(self, migration_uuid: str) -> row_lib.Row | None:
        """Return the row of a migration, None if it has none."""
        place = self._places.get(migration_uuid)
        return None if place is None else self.rows[place]

    def put(self, migration_uuid: str, primitive: str) -> int:
        """Make or change the row of a migration.

        :returns: its place.
        """
        now = self._tick()
        place = self._places.get(migration_uuid, now)
        self._add(row_lib.Row(place, now, migration_uuid, primitive))
        return place

    def remove(self, migration_uuid: str) -> int | None:
        """Forget a migration.

        :returns: the place that it had, if any.
        """
        if not self.loaded:
            self._removed.add(migration_uuid)
        place = self._places.pop(migration_uuid, None)
        if place is not None:
            del self.rows[place]
        return place

    def load(self, found: Iterable[row_lib.Row], complete: bool) -> None:
        """Add what a file has, unless that was done; what was said is newer.

        :param found: its rows, at best one of a migration.
        :param complete: whether that is all that the file has.
        """
        if self.loaded:
            return
        said = {row.migration_uuid: row for row in self.rows.values()}
        for row in sorted(found, key=lambda each: each.revision):
            uuid = row.migration_uuid
            if uuid not in self._removed:
                known = self.find(uuid) or row
                self.rows.pop(known.position, None)
                newest = said.get(uuid, row)
                self._add(dataclasses.replace(newest, position=row.position))
        self.loaded = complete

    def differences(self, found: Mapping[int, row_lib.Row]) -> set[int]:
        """Return the places at which a file has something else.

        :param found: what is where in the file.
        """
        return {
            place
            for place in {*found, *self.rows}
            if found.get(place) != self.rows.get(place)
        }

    def _add(self, row: row_lib.Row) -> None:
        self._last = max(self._last, row.position, row.revision)
        self._places[row.migration_uuid] = row.position
        self.rows[row.position] = row

    def _tick(self) -> int:
        # The time, so that it is greater than what is in a file that can't
        # be read yet; but never less than what was seen.
        self._last = max(self._last + 1, time.time_ns())
        return self._last
