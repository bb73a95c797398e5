# SPDX-License-Identifier: Apache-2.0

import pathlib
import sqlite3

import fixtures
from oslo_db.sqlalchemy import engines
import sqlalchemy
import testtools

from nova_throttle.demo import sqlite


class PatientSqliteTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.useFixture(fixtures.TempDir()).path
        self.name = pathlib.Path(folder, 'test.sqlite')
        self.other = sqlite3.connect(self.name, isolation_level=None)
        self.addCleanup(self.other.close)
        self.other.execute('PRAGMA journal_mode=WAL')
        self.other.execute('CREATE TABLE t (value INTEGER)')
        self.other.execute('INSERT INTO t VALUES (1)')
        engine = sqlalchemy.create_engine(f'sqlite:///{self.name}')
        self.addCleanup(engine.dispose)
        self.connection = self.enterContext(engine.connect())

    def read_then_write(self):
        run = self.connection.exec_driver_sql
        run('BEGIN')
        run('SELECT value FROM t')
        run('UPDATE t SET value = 2')

    def test_busy_is_waited_for(self):
        self.useFixture(
            sqlite.PatientSqlite(pause=lambda: self.other.execute('ROLLBACK'))
        )
        self.other.execute('BEGIN IMMEDIATE')
        self.read_then_write()

    def test_an_old_snapshot_is_not(self):
        self.useFixture(sqlite.PatientSqlite(pause=self.fail))
        run = self.connection.exec_driver_sql
        run('BEGIN')
        run('SELECT value FROM t')
        self.other.execute('UPDATE t SET value = 3')
        self.assertRaises(
            sqlalchemy.exc.OperationalError, run, 'UPDATE t SET value = 2'
        )

    def test_a_connection_is_kept(self):
        self.useFixture(sqlite.PatientSqlite())
        engine = engines.create_engine(f'sqlite:///{self.name}')
        self.addCleanup(engine.dispose)
        used = []
        for _ in range(2):
            with engine.connect() as connection:
                used.append(connection.connection.dbapi_connection)
        self.assertIs(*used)

    def test_nothing_is_left(self):
        with sqlite.PatientSqlite(pause=self.fail):
            pass
        self.other.execute('BEGIN IMMEDIATE')
        self.assertRaises(
            sqlalchemy.exc.OperationalError, self.read_then_write
        )
