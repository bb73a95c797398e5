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

"""The entries of one host, in memory and on disk.

Memory is the truth once the file was read; the file follows it in the same
call, or, while it can't be written, in the first later one in which it can.
"""

import _thread
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import errno
import json
import logging as std_logging
from typing import Any
import weakref

from oslo_log import log as logging

from nova_throttle import exception
from nova_throttle.journal import files as files_lib
from nova_throttle.journal import memory as memory_lib
from nova_throttle.journal import row as row_lib
from nova_throttle.journal import store as store_lib
from nova_throttle.objects import base
from nova_throttle.objects import entry as entry_obj

LOG = logging.getLogger(__name__)

# For an earlier nova-compute of this host that is just ending.
_LOCK_SECONDS = 2

# SQLite's words when a file may be healthy that it cannot read now: the first
# is for an operator's own sqlite3.
_OF_THE_DISK = ('locked', 'I/O', 'readonly', 'disk is full', 'unable to open')

# By their file: oslo.concurrency's locks are for processes, not in one.
_opened: 'weakref.WeakValueDictionary[str, Journal]' = (
    weakref.WeakValueDictionary()
)


class Journal:
    """Every live migration that was accepted and is not over.

    Any thread may call it. Only open() raises, and only when another process
    has the journal.

        journal = Journal('/var/lib/nova/nova-throttle', 'host-1')
        journal.open()
        journal.put(entry)  # on disk from here on
        journal.remove(entry.migration_uuid)

    :param directory: where its file is; open() makes it if needed.
    :param host: whose it is.
    """

    def __init__(self, directory: str, host: str) -> None:
        self._host = host
        self._files = files_lib.Files(directory, host)
        self._lock = files_lib.Lock(self._files.lock)
        # Not threading's, which is green where Nova is, and then no native
        # thread may wait for it. Greenlets don't switch while we hold this.
        self._mutex = _thread.RLock()
        self._notes: list[tuple[Any, ...]] = []
        self._opened = False
        self._durable = False
        self._in_memory_only = False
        self._store: store_lib.Store | None = None
        self._forget()

    def __repr__(self) -> str:
        state = 'durable' if self._durable else 'not durable'
        entries = len(self._memory.rows)
        return f'<Journal {self._files.path}: {entries} entries, {state}>'

    @property
    def durable(self) -> bool:
        """Whether all entries are on disk, not in memory only."""
        return self._durable

    def open(self) -> None:
        """Read what is on disk, and be the only one to write there.

        :raises JournalLocked: if another process has the journal.
        """
        self._take_over()
        with contextlib.suppress(OSError):
            self._files.prepare()
            if not self._lock.take(_LOCK_SECONDS):
                raise exception.JournalLocked(
                    host=self._host, path=self._files.path
                )
        with self._exclusive():
            self._opened = True
            self._save()

    def close(self) -> None:
        """Let go of the file; only what is not on disk stays in memory."""
        with self._exclusive():
            if not self._opened:
                return
            if not self._durable:
                self._save()
            self._opened = False
            self._detach()
            self._lock.release()
            if self._durable:
                self._forget()
            self._durable = False

    def put(self, entry: entry_obj.JournalEntry) -> None:
        """Keep an entry, at its old place if its migration has one.

        :param entry: what to keep; may be changed afterwards.
        """
        primitive = _primitive(entry)
        with self._exclusive():
            place = self._memory.put(entry.migration_uuid, primitive)
            self._unsaved.add(place)
            self._save()

    def remove(self, migration_uuid: str) -> None:
        """Forget an entry; an unknown one is harmless.

        :param migration_uuid: whose.
        """
        with self._exclusive():
            place = self._memory.remove(migration_uuid)
            if place is not None:
                self._unsaved.add(place)
                self._save()

    def entries(self) -> list[entry_obj.JournalEntry]:
        """Return copies of all entries, in the order of their first put."""
        with self._exclusive():
            rows = sorted(self._memory.rows.items())
        return [_entry(row) for _, row in rows]

    def get(self, migration_uuid: str) -> entry_obj.JournalEntry | None:
        """Return a copy of an entry, None if there is none.

        :param migration_uuid: whose.
        """
        with self._exclusive():
            row = self._memory.find(migration_uuid)
        return None if row is None else _entry(row)

    def sync(self) -> None:
        """Write what is in memory only, if it can be written by now."""
        with self._exclusive():
            if not self._durable:
                self._save()

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the mutex; log what was noted once it is free."""
        with self._mutex:
            yield
            notes, self._notes = self._notes, []
        for level, message, *values in notes:
            LOG.log(level, message, *values)

    # What follows is called with the mutex held.

    def _take_over(self) -> None:
        """Close the journal of a service that this process had before.

        It may have been dropped without an end, as in tests of a crash: it
        must not write any more, and no other process has it.
        """
        before = _opened.get(self._files.path)
        if before is not None and before is not self:
            before.close()
        _opened[self._files.path] = self

    def _forget(self) -> None:
        self._memory = memory_lib.Memory()
        # Places at which the file is not as memory.
        self._unsaved: set[int] = set()
        # Places in the file of what we can't read.
        self._strange: set[int] = set()
        self._complained: set[row_lib.Row] = set()

    def _save(self) -> None:
        """Make the file as memory; try once with what we have, once anew."""
        while self._opened:
            attached = self._store is not None
            try:
                self._write()
            # Of a damaged file, anything: SQLite's complaint may quote bytes
            # that are no text, which is a UnicodeDecodeError of Python's.
            except Exception as error:
                self._detach()
                if not attached:
                    return self._go_on_in_memory(error)
            else:
                return self._go_on_on_disk()

    def _write(self) -> None:
        if self._store is None:
            self._store = self._attach()
        rows = self._memory.rows
        self._store.write(
            {place: rows.get(place) for place in self._unsaved}, self._strange
        )
        self._unsaved.clear()
        self._strange.clear()

    def _detach(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _attach(self) -> store_lib.Store:
        """Return the file, open, whatever is at its path.

        :raises Exception: any, if that is not possible now; even then what
            can be read of a journal has been.
        """
        refusal = self._own()
        verdict = self._files.judge()
        reason = verdict.value
        if verdict is files_lib.Verdict.OURS:
            try:
                return self._attach_to_ours(refusal)
            except OSError:
                raise
            except Exception as error:
                if any(word in str(error) for word in _OF_THE_DISK):
                    raise
                verdict, reason = files_lib.Verdict.DAMAGED, str(error)
        return self._attach_to_new(verdict, reason, refusal)

    def _own(self) -> OSError | None:
        """Close the files to others, and lock them.

        :returns: why we must not write them.
        :raises OSError: if somebody else may be writing them.
        """
        try:
            self._files.prepare()
            if self._lock.take(0):
                return None
        except OSError as error:
            return error
        raise OSError(errno.EAGAIN, 'in use by another nova-compute')

    def _attach_to_ours(self, refusal: OSError | None) -> store_lib.Store:
        store = store_lib.Store(self._files.path)
        try:
            found = store.load()
            good = self._readable(found)
            self._memory.load(good.values(), complete=not refusal)
            if refusal:
                raise refusal
        except BaseException:
            store.close()
            raise
        self._unsaved = self._memory.differences(good)
        self._strange = found.keys() - good.keys()
        return store

    def _attach_to_new(
        self,
        verdict: files_lib.Verdict,
        reason: str,
        refusal: OSError | None,
    ) -> store_lib.Store:
        vanished = self._durable
        self._memory.load((), complete=not refusal)
        if refusal:
            raise refusal
        self._files.start_draft()
        try:
            self._write_draft()
            aside = self._files.replace(verdict)
        except BaseException:
            # It would take what is left of a full disk.
            self._files.drop_draft()
            raise
        if aside is not None or vanished:
            self._note_new(reason, aside)
        self._unsaved, self._strange = set(), set()
        return store_lib.Store(self._files.path)

    def _write_draft(self) -> None:
        with contextlib.closing(store_lib.Store(self._files.draft)) as draft:
            draft.create()
            draft.write(self._memory.rows)

    def _readable(
        self, found: Mapping[int, row_lib.Row]
    ) -> dict[int, row_lib.Row]:
        """Return the rows that are entries; note the others, once each."""
        good = {}
        for place, row in found.items():
            try:
                _entry(row)
            # What a newer version means by it can fail in any way.
            except Exception as error:
                self._note_strange(row, error)
            else:
                good[place] = row
        return good

    def _go_on_on_disk(self) -> None:
        if self._in_memory_only:
            self._note(
                std_logging.INFO,
                'Journal %s can be written again: all %d entries are on disk',
                self._files.path,
                len(self._memory.rows),
            )
        self._durable, self._in_memory_only = True, False

    def _go_on_in_memory(self, error: Exception) -> None:
        if not self._in_memory_only:
            self._note(
                std_logging.ERROR,
                'Journal %s cannot be used (%s): until it can, new entries '
                'are in memory only and lost when nova-compute ends',
                self._files.path,
                error,
            )
        self._durable, self._in_memory_only = False, True

    def _note_new(self, reason: str, aside: str | None) -> None:
        self._note(
            std_logging.ERROR,
            'Journal %s was unusable (%s): a new one has %d entries; what was '
            'there is now %s',
            self._files.path,
            ' '.join(reason.split()),
            len(self._memory.rows),
            aside or 'gone',
        )

    def _note_strange(self, row: row_lib.Row, error: Exception) -> None:
        if row not in self._complained:
            self._complained.add(row)
            self._note(
                std_logging.ERROR,
                'Entry of live migration %s in journal %s cannot be read '
                '(%s): it goes to the table set_aside there',
                row.migration_uuid,
                self._files.path,
                error,
            )

    def _note(self, *note: Any) -> None:
        self._notes.append(note)


def _primitive(entry: entry_obj.JournalEntry) -> str:
    primitive = base.to_primitive(entry)
    # Of no interest to whoever reads it.
    primitive.pop('nova_throttle_object.changes', None)
    return json.dumps(primitive)


def _entry(row: row_lib.Row) -> entry_obj.JournalEntry:
    """Return the entry in a row.

    :raises Exception: if there is none that we can read.
    """
    entry = entry_obj.JournalEntry.obj_from_primitive(
        json.loads(row.primitive)
    )
    if not isinstance(entry, entry_obj.JournalEntry):
        raise ValueError(f'it is a {entry.obj_name()}')
    return entry
