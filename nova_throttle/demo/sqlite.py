# SPDX-License-Identifier: Apache-2.0

"""Makes Nova's tests on native threads live with SQLite.

A statement that SQLite could carry out a moment later does not fail, and a
connection is used more than once.
"""

from collections.abc import Callable
import sqlite3
import time
from typing import Any

import fixtures
import sqlalchemy

# How often a statement that SQLite refuses is tried again, and the seconds
# between.
BUSY_TRIES = 1000
BUSY_PAUSE = 0.01


class _KeepingPool(sqlalchemy.pool.QueuePool):
    """Keeps every connection, and has no limit."""

    def __init__(self, creator: Callable[[], Any], **options: Any) -> None:
        super().__init__(creator, **{**options, 'pool_size': 0})


class PatientSqlite(fixtures.Fixture):
    """Let SQLite be busy for a while, for Nova's tests on native threads.

    Nova's test databases are files then. A reader locks such a file for an
    instant when it finds it as another process might have left it, and a
    transaction that has read and wants to write is not made to wait for that
    by SQLite: it fails with "database is locked".
    https://www.sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode

    Connections are kept: oslo.db makes one for each transaction with such a
    file, and whoever closes the last writes the log back, which took a
    quarter of the time of these tests.

    :param pause: waits before a statement is tried again.
    """

    def __init__(
        self, pause: Callable[[], None] = lambda: time.sleep(BUSY_PAUSE)
    ) -> None:
        super().__init__()
        self._pause = pause

    def _setUp(self) -> None:
        self.useFixture(
            fixtures.MonkeyPatch('sqlalchemy.pool.NullPool', _KeepingPool)
        )
        listener = (sqlalchemy.engine.Engine, 'do_execute', self._execute)
        sqlalchemy.event.listen(*listener)
        self.addCleanup(sqlalchemy.event.remove, *listener)

    def _execute(
        self, cursor: Any, statement: str, parameters: Any, context: Any
    ) -> bool:
        for _ in range(BUSY_TRIES):
            try:
                cursor.execute(statement, parameters)
            except sqlite3.OperationalError as error:
                # A snapshot that is too old stays so: no use in waiting.
                if getattr(error, 'sqlite_errorname', '') != 'SQLITE_BUSY':
                    raise
                self._pause()
            else:
                return True
        return False  # SQLAlchemy tries, and raises what comes of it
