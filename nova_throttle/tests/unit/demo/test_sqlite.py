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

import pathlib
import sqlite3

import fixtures
import sqlalchemy
import testtools

from nova_throttle.demo import sqlite


class PatientSqliteTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.useFixture(fixtures.TempDir()).path
        name = pathlib.Path(folder, 'test.sqlite')
        self.other = sqlite3.connect(name, isolation_level=None)
        self.addCleanup(self.other.close)
        self.other.execute('PRAGMA journal_mode=WAL')
        self.other.execute('CREATE TABLE t (value INTEGER)')
        self.other.execute('INSERT INTO t VALUES (1)')
        engine = sqlalchemy.create_engine(f'sqlite:///{name}')
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

    def test_nothing_is_left(self):
        with sqlite.PatientSqlite(pause=self.fail):
            pass
        self.other.execute('BEGIN IMMEDIATE')
        self.assertRaises(
            sqlalchemy.exc.OperationalError, self.read_then_write
        )
