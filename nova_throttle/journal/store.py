# SPDX-License-Identifier: Apache-2.0

"""One SQLite file of sealed rows.

What was written is on disk when the call returns, and after a crash at any
instant either all of it is there or nothing.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import os
import sqlite3
from typing import Any
import urllib.parse

from nova_throttle.journal import rows as rows_lib

# Whoever changes the tables or the seal raises the version: then an older
# release leaves a newer journal alone.
SCHEMA_VERSION = 2
APPLICATION_ID = 0x6E746A31  # ntj1

# A put waits this long for an operator's own sqlite3 to let go of the file.
_BUSY_SECONDS = 1

# A migration has a handful of puts and lasts seconds, so what counts is not
# the fastest but what fails best: one file that is complete after each put,
# where a WAL loses all that follows its first bad byte, silently; no
# memory-mapped -shm, whose truncation kills the process. TRUNCATE syncs the
# end of the transaction, which DELETE does with EXTRA only.
_PRAGMAS = """
    PRAGMA journal_mode = TRUNCATE;
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
"""

_TABLES = (
    'CREATE TABLE entries (position INTEGER PRIMARY KEY, seal TEXT NOT NULL,'
    ' migration_uuid TEXT NOT NULL, primitive TEXT NOT NULL)',
    'CREATE TABLE set_aside (set_aside_at TEXT DEFAULT CURRENT_TIMESTAMP,'
    ' seal, migration_uuid, primitive)',
)

_SET_ASIDE = (
    'INSERT INTO set_aside (seal, migration_uuid, primitive)'
    ' SELECT seal, migration_uuid, primitive FROM entries WHERE position = ?'
)
_DELETE = 'DELETE FROM entries WHERE position = ?'
_INSERT = 'INSERT INTO entries VALUES (?, ?, ?, ?)'

# SQLite's words when a file may be healthy that it cannot read now: the first
# is for an operator's own sqlite3.
_OF_THE_DISK = ('locked', 'I/O', 'readonly', 'disk is full', 'unable to open')


def create(path: str, rows: Iterable[rows_lib.Row]) -> None:
    """Make a journal of an empty file.

    :raises sqlite3.Error: if that is not possible.
    """
    with _opened(path) as db:
        for table in _TABLES:
            db.execute(table)
        db.execute(f'PRAGMA application_id = {APPLICATION_ID}')
    write(path, set(), rows)


def read(path: str) -> set[rows_lib.Row]:
    """Return all rows of a journal, also those that can't be used.

    :raises Exception: any, if it is damaged: SQLite's complaint may quote
        bytes that are no text. See is_of_the_disk().
    """
    with _opened(path) as db:
        (verdict,) = db.execute('PRAGMA integrity_check(1)').fetchone()
        if verdict != b'ok':
            raise sqlite3.DatabaseError(_text(verdict))
        # Of a column that has another name now, the check says nothing.
        found = db.execute('SELECT sql FROM sqlite_master')
        if not {_text(sql) for (sql,) in found}.issuperset(_TABLES):
            raise sqlite3.DatabaseError('it has other tables')
        found = db.execute(
            'SELECT position, seal, migration_uuid, primitive FROM entries'
        )
        return {
            rows_lib.Row(position, *map(_text, columns))
            for position, *columns in found
        }


def write(
    path: str, found: set[rows_lib.Row], rows: Iterable[rows_lib.Row]
) -> list[rows_lib.Row]:
    """Make a journal have these rows and no others, or change nothing.

    :param path: of its file.
    :param found: what read() returned.
    :param rows: what is to be in it.
    :returns: what was in it and can't be used: it was set aside.
    :raises sqlite3.Error: if nothing was written.
    """
    wanted = set(rows)
    gone = found - wanted
    strange = [row for row in gone if row.defect()]
    with _opened(path) as db, db:
        db.execute('BEGIN IMMEDIATE')
        # Written again, to see whether it can be where no row changes.
        db.execute(f'PRAGMA user_version = {SCHEMA_VERSION}')
        db.executemany(_SET_ASIDE, [row[:1] for row in strange])
        db.executemany(_DELETE, [row[:1] for row in gone])
        db.executemany(_INSERT, wanted - found)
    return strange


def is_of_the_disk(error: Exception) -> bool:
    """Return whether a file that cannot be read may be healthy."""
    return isinstance(error, OSError) or any(
        word in str(error) for word in _OF_THE_DISK
    )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(
        f'file:{urllib.parse.quote(os.path.abspath(path))}?mode=rw',
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
    )
    with contextlib.closing(db):
        # What is damaged need not be text.
        db.text_factory = bytes
        db.executescript(_PRAGMAS)
        yield db


def _text(column: Any) -> str:
    # What is damaged can have become a number.
    if isinstance(column, bytes):
        return column.decode(errors='replace')
    return str(column)
