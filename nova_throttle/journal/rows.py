# SPDX-License-Identifier: Apache-2.0

"""The rows of a journal in memory, in their order.

A migration has one row at most, and keeps its place until it is removed; so
has a pause of the queue. A row on disk is used as it was written or not at
all: so it has a seal.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import hashlib
import json
import time
from typing import NamedTuple
from typing import TypeVar

from nova_throttle.objects import base
from nova_throttle.objects import entry as entry_obj
from nova_throttle.objects import pause as pause_obj

# In the place of a migration UUID: the row of a pause.
PAUSE = 'pause'

_Object = TypeVar('_Object', bound=base.ThrottleObject)


class Row(NamedTuple):
    """One entry at its place in the order, as it is on disk.

    :param position: its place; never changes.
    :param seal: what proves that the row is as it was written.
    :param migration_uuid: whose entry it is; PAUSE if it is that.
    :param primitive: the entry, or the pause, as JSON.
    """

    position: int
    seal: str
    migration_uuid: str
    primitive: str

    @property
    def is_entry(self) -> bool:
        """Whether it is the entry of a migration."""
        return self.migration_uuid != PAUSE

    def entry(self) -> entry_obj.JournalEntry:
        """Return a copy of the entry.

        :raises Exception: any, if it is none that we can read.
        """
        return _read(entry_obj.JournalEntry, self.primitive)

    def pause(self) -> pause_obj.Pause:
        """Return a copy of the pause.

        :raises Exception: any, if it is none that we can read.
        """
        return _read(pause_obj.Pause, self.primitive)

    def defect(self) -> str | None:
        """Return why the row can't be used, None if it can."""
        if self != sealed(self.position, self.migration_uuid, self.primitive):
            return 'it is not as it was written'
        try:
            self.entry() if self.is_entry else self.pause()
        # What a newer version means by it can fail in any way.
        except Exception as error:
            return str(error)
        return None


def sealed(position: int, migration_uuid: str, primitive: str) -> Row:
    """Make a row."""
    content = f'{position}:{migration_uuid}:{primitive}'
    seal = hashlib.sha256(content.encode()).hexdigest()
    return Row(position, seal, migration_uuid, primitive)


def _read(kind: type[_Object], primitive: str) -> _Object:
    found = kind.obj_from_primitive(json.loads(primitive))
    if not isinstance(found, kind):
        raise ValueError(f'it is a {found.obj_name()}')
    return found


class Rows:
    """The rows of a journal; iterating gives them in their order."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._last = 0
        # Until the file was read: what is not here may be there.
        self._complete = False
        self._removed: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(sorted(self._rows.values()))

    def get(self, migration_uuid: str) -> Row | None:
        """Return the row of a migration, None if it has none."""
        return self._rows.get(migration_uuid)

    def put(self, uuid: str, thing: base.ThrottleObject) -> None:
        """Make or change the row of a migration, or of a pause."""
        primitive = base.to_primitive(thing)
        # Of no interest to whoever reads it.
        primitive.pop('nova_throttle_object.changes', None)
        known = self._rows.get(uuid)
        position = known.position if known else self._next()
        self._rows[uuid] = sealed(position, uuid, json.dumps(primitive))

    def remove(self, migration_uuid: str) -> bool:
        """Forget a migration; return whether it had a row."""
        if not self._complete:
            self._removed.add(migration_uuid)
        return self._rows.pop(migration_uuid, None) is not None

    def merge(self, found: Iterable[Row], complete: bool) -> None:
        """Add what a file has, unless that was done; what was put is newer.

        :param found: its rows; one with a defect is not added.
        :param complete: whether that is all that the file has.
        """
        if self._complete:
            return
        for row in found:
            uuid = row.migration_uuid
            if uuid not in self._removed and row.defect() is None:
                known = self._rows.get(uuid, row)
                self._rows[uuid] = sealed(row.position, uuid, known.primitive)
                self._last = max(self._last, row.position)
        self._complete = complete

    def _next(self) -> int:
        # The time, so that it is greater than what is in a file that can't
        # be read yet; but never less than what was seen.
        self._last = max(self._last + 1, time.time_ns())
        return self._last
