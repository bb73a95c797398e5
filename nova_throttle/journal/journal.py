# SPDX-License-Identifier: Apache-2.0

"""The entries of one host, in memory and on disk.

Memory is the truth once the file was read; the file follows it in the same
call, or, while it can't be written, in the first later one in which it can.
"""

import _thread
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
from typing import Any
import weakref

from oslo_log import log as logging

from nova_throttle import activation
from nova_throttle.journal import files as files_lib
from nova_throttle.journal import rows as rows_lib
from nova_throttle.journal import store
from nova_throttle.objects import entry as entry_obj
from nova_throttle.objects import pause as pause_obj

LOG = logging.getLogger(__name__)

# For an earlier nova-compute of this host that is just ending.
_LOCK_SECONDS = 2

_IN_MEMORY_ONLY = (
    'Journal %s cannot be used (%s): until it can, new entries are in memory '
    'only and lost when nova-compute ends'
)
_ON_DISK_AGAIN = 'Journal %s can be written again: all %d entries are on disk'
_REPLACED = (
    'Journal %s was unusable (%s): a new one has %d entries; what was there '
    'is now %s'
)
_ROW_SET_ASIDE = (
    'Journal %s: the entry of live migration %s cannot be read (%s) and is in '
    'the table set_aside now'
)

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
        # Not threading's, which is green where Nova is, and then no native
        # thread may wait for it. Greenlets don't switch while we hold this.
        self._mutex = _thread.RLock()
        self._notes: list[Callable[[], None]] = []
        self._rows = rows_lib.Rows()
        # The file as our last write left it, and what was in it.
        self._left: tuple[files_lib.Stamp, set[rows_lib.Row]] | None = None
        self._opened = False
        self._durable = False
        self._in_memory_only = False

    def __repr__(self) -> str:
        state = 'durable' if self._durable else 'not durable'
        entries = len(self._rows)
        return f'<Journal {self._files.path}: {entries} entries, {state}>'

    @property
    def durable(self) -> bool:
        """Whether all entries are on disk, not in memory only."""
        return self._durable

    def open(self) -> None:
        """Read what is on disk, and be the only one to write there.

        :raises JournalLocked: if another process has the journal.
        """
        _close_predecessor(self, self._files.path)
        try:
            self._files.own(_LOCK_SECONDS)
        except BlockingIOError as error:
            raise activation.JournalLocked(
                host=self._host, path=self._files.path
            ) from error
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
            self._files.disown()
            if self._durable:
                self._rows = rows_lib.Rows()
            self._durable, self._left = False, None

    def put(self, entry: entry_obj.JournalEntry) -> None:
        """Keep an entry, at its old place if its migration has one.

        :param entry: what to keep; may be changed afterwards.
        """
        with self._exclusive():
            self._rows.put(entry.migration_uuid, entry)
            self._save()

    def change(self, migration_uuid: str, **values: Any) -> bool:
        """Change some fields of an entry, and nothing else of it.

        :returns: whether there is one.
        """
        with self._exclusive():
            row = self._rows.get(migration_uuid)
            if row is None:
                return False
            entry = row.entry()
            for name, value in values.items():
                setattr(entry, name, value)
            self._rows.put(migration_uuid, entry)
            self._save()
        return True

    def remove(self, migration_uuid: str) -> None:
        """Forget an entry; an unknown one is harmless.

        :param migration_uuid: whose.
        """
        with self._exclusive():
            if self._rows.remove(migration_uuid):
                self._save()

    @property
    def pause(self) -> pause_obj.Pause | None:
        """Return why the queue is paused; None if it is not."""
        with self._exclusive():
            row = self._rows.get(rows_lib.PAUSE)
        return None if row is None else row.pause()

    @pause.setter
    def pause(self, pause: pause_obj.Pause | None) -> None:
        """Keep that the queue is paused, or that it is not."""
        with self._exclusive():
            if pause is None:
                self._rows.remove(rows_lib.PAUSE)
            else:
                self._rows.put(rows_lib.PAUSE, pause)
            self._save()

    def entries(self) -> list[entry_obj.JournalEntry]:
        """Return copies of all entries, in the order of their first put."""
        with self._exclusive():
            rows = list(self._rows)
        return [row.entry() for row in rows if row.is_entry]

    def get(self, migration_uuid: str) -> entry_obj.JournalEntry | None:
        """Return a copy of an entry, None if there is none.

        :param migration_uuid: whose.
        """
        with self._exclusive():
            row = self._rows.get(migration_uuid)
        return None if row is None else row.entry()

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
        for note in notes:
            note()

    # What follows is called with the mutex held.

    def _save(self) -> None:
        """Make the file as memory, or remember that it isn't."""
        if not self._opened:
            return
        try:
            self._write()
        # Of a damaged file, anything.
        except Exception as error:
            if not self._in_memory_only:
                self._note(LOG.error, _IN_MEMORY_ONLY, error)
            self._durable, self._in_memory_only = False, True
        else:
            if self._in_memory_only:
                self._note(LOG.info, _ON_DISK_AGAIN, len(self._rows))
            self._durable, self._in_memory_only = True, False

    def _write(self) -> None:
        """Make the file as memory, whatever is at its path.

        :raises Exception: any, if that is not possible now; even then what
            can be read of a journal has been.
        """
        refusal = self._files.own()
        state, reason, found = self._read()
        self._rows.merge(found, not refusal)
        if refusal:
            raise refusal
        if state is not files_lib.State.OURS:
            return self._replace(state, reason)
        self._left = None
        for row in store.write(self._files.path, found, self._rows):
            uuid = row.migration_uuid
            self._note(LOG.error, _ROW_SET_ASIDE, uuid, row.defect())
        self._left = self._files.stamp(), set(self._rows)

    def _read(self) -> tuple[files_lib.State, str, set[rows_lib.Row]]:
        """Return what is at the path, why so, and its rows.

        :raises Exception: any, if that cannot be told now.
        """
        if self._left and self._left[0] == self._files.stamp():
            # Nobody has touched it: reading all would be most of a put.
            return files_lib.State.OURS, '', self._left[1]
        state = self._files.state()
        if state is not files_lib.State.OURS:
            return state, state.value, set()
        try:
            return state, state.value, store.read(self._files.path)
        except Exception as error:
            if store.is_of_the_disk(error):
                raise
            reason = ' '.join(str(error).split())
            return files_lib.State.DAMAGED, reason, set()

    def _replace(self, state: files_lib.State, reason: str) -> None:
        aside = self._files.replace(
            state, lambda path: store.create(path, self._rows)
        )
        # That a new host has none is no loss.
        if aside or self._durable:
            entries = len(self._rows)
            self._note(LOG.error, _REPLACED, reason, entries, aside or 'gone')

    def _note(
        self, log: Callable[..., None], message: str, *values: object
    ) -> None:
        self._notes.append(
            functools.partial(log, message, self._files.path, *values)
        )


def _close_predecessor(journal: Journal, path: str) -> None:
    """Close the journal of a service that this process had before.

    It may have been dropped without an end, as in tests of a crash: it must
    not write any more, and no other process has it.
    """
    before = _opened.get(path)
    if before is not None and before is not journal:
        before.close()
    _opened[path] = journal
