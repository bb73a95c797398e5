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

"""One SQLite file of sealed rows.

What write() was given is on disk when it returns, and after a crash at any
instant either all of it is there or nothing.
"""

from collections.abc import Collection
from collections.abc import Mapping
import errno
import os
import sqlite3
from typing import Any
import urllib.parse

from nova_throttle.journal import row as row_lib

SCHEMA_VERSION = 1
APPLICATION_ID = 0x6E746A31  # ntj1

# A put waits this long for an operator's own sqlite3 to let go of the file.
_BUSY_SECONDS = 1

# How one put behaved, median of 150 with 100 entries of 6 kB, on an SSD whose
# fdatasync takes 0.1 ms: DELETE and EXTRA 1.1 ms, TRUNCATE and FULL 0.9 ms,
# WAL and FULL 0.3 ms. A migration has a handful of puts and lasts seconds, so
# the choice is not WAL but what fails best: one file that is complete after
# each put, where a WAL loses all that follows its first bad byte, silently;
# no memory-mapped -shm, whose truncation kills the process. TRUNCATE syncs
# the end of the transaction, which DELETE does with EXTRA only.
_PRAGMAS = (
    'journal_mode = TRUNCATE',
    'synchronous = FULL',
    'secure_delete = ON',
    'cell_size_check = ON',
    'trusted_schema = OFF',
    'temp_store = MEMORY',
)

_SCHEMA = (
    'CREATE TABLE entries (position INTEGER PRIMARY KEY, seal TEXT NOT NULL,'
    ' migration_uuid TEXT NOT NULL, primitive TEXT NOT NULL)',
    'CREATE TABLE set_aside (set_aside_at TEXT DEFAULT CURRENT_TIMESTAMP,'
    ' seal, migration_uuid, primitive)',
    f'PRAGMA application_id = {APPLICATION_ID}',
)


class Store:
    """An open journal file.

    Any thread may use it, one at a time.

    :param path: an existing file: a journal, or empty for a new one.
    :raises sqlite3.Error: if it is no database.
    :raises OSError: if it is not there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._identity = self._identify()
        self._db = sqlite3.connect(
            f'file:{urllib.parse.quote(os.path.abspath(path))}?mode=rw',
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # What is damaged need not be text.
        self._db.text_factory = bytes
        try:
            for pragma in _PRAGMAS:
                self._db.execute(f'PRAGMA {pragma}')
        except BaseException:
            self.close()
            raise

    def create(self) -> None:
        """Make a journal of an empty file."""
        self._transaction([(statement, ()) for statement in _SCHEMA])

    def load(self) -> dict[int, row_lib.Row]:
        """Return position -> row of all rows.

        One that is not as it was written comes without its content.

        :raises sqlite3.Error: if the file is damaged.
        """
        (verdict,) = self._db.execute('PRAGMA integrity_check(1)').fetchone()
        if verdict != b'ok':
            raise sqlite3.DatabaseError(verdict.decode(errors='replace'))
        # Of a column that has another name now, the check says nothing.
        self._db.execute('SELECT migration_uuid FROM set_aside LIMIT 1')
        found = self._db.execute(
            'SELECT position, seal, migration_uuid, primitive FROM entries'
        )
        return {columns[0]: _row(*columns) for columns in found}

    def write(
        self,
        changes: Mapping[int, row_lib.Row | None],
        aside: Collection[int] = (),
    ) -> None:
        """Change rows, all or none, and wait for the disk.

        :param changes: position -> what is there from now on; may be empty,
            to see whether the file can be written.
        :param aside: positions of rows to set aside, after the changes.
        :raises sqlite3.Error: if nothing was written.
        :raises OSError: if the file is not at its path any more.
        """
        if self._identify() != self._identity:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.path)
        statements = [_change(*change) for change in changes.items()]
        for position in aside:
            statements += _set_aside(position)
        self._transaction(statements)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _identify(self) -> tuple[int, int]:
        found = os.stat(self.path, follow_symlinks=False)
        return found.st_dev, found.st_ino

    def _transaction(self, statements: list[tuple[str, Any]]) -> None:
        try:
            self._db.execute('BEGIN IMMEDIATE')
            # Always writes, if only the version again.
            self._db.execute(f'PRAGMA user_version = {SCHEMA_VERSION}')
            for statement, values in statements:
                self._db.execute(statement, values)
            self._db.execute('COMMIT')
        except BaseException:
            if self._db.in_transaction:
                self._db.execute('ROLLBACK')
            raise


def _row(position: int, *columns: Any) -> row_lib.Row:
    # A damaged column can have become a number.
    seal, uuid, primitive = (
        column if isinstance(column, bytes) else str(column).encode()
        for column in columns
    )
    row = row_lib.unsealed(seal, uuid, primitive)
    return row or row_lib.Row(position, 0, uuid.decode(errors='replace'), '')


def _change(position: int, row: row_lib.Row | None) -> tuple[str, Any]:
    if row is None:
        return 'DELETE FROM entries WHERE position = ?', (position,)
    return (
        'INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)',
        (position, row.seal, row.migration_uuid, row.primitive),
    )


def _set_aside(position: int) -> list[tuple[str, Any]]:
    return [
        (
            'INSERT INTO set_aside (seal, migration_uuid, primitive) SELECT'
            ' seal, migration_uuid, primitive FROM entries WHERE position = ?',
            (position,),
        ),
        _change(position, None),
    ]
