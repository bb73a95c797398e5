# SPDX-License-Identifier: Apache-2.0

"""A damaged file is set aside, and the service starts.

A row that is not as it was written costs itself; a file that SQLite cannot
read costs all. Nobody gets an entry that was not written, and what was in the
place is kept.
"""

import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys

import hypothesis
from hypothesis import strategies as st

from nova_throttle.journal import rows as rows_lib
from nova_throttle.journal import store as store_lib
from nova_throttle.tests.unit.admission import base as admission
from nova_throttle.tests.unit.journal import base

ENTRIES = base.ENTRIES


class DamageTestCase(base.JournalTestCase):
    def setUp(self):
        super().setUp()
        self.open_journal(*ENTRIES).close()
        os.unlink(f'{self.path}-journal')
        with open(self.path, 'rb') as file:
            self.content = file.read()
        self.spans = [self.find(entry) for entry in ENTRIES]

    def find(self, entry):
        """Return where an entry is in the file, seal included."""
        text = f'{entry.migration_uuid}{{'.encode()
        seal = self.content.index(text) - 64
        return seal, self.content.index(b'}}', seal) + 2

    def open_damaged(self, content):
        """Return the journal that is made of a damaged file, and its dir."""
        shutil.rmtree(self.directory)
        os.mkdir(self.directory)
        with open(self.path, 'wb') as file:
            file.write(content)
        return self.open_journal()

    def check(self, content):
        """Check what becomes of a damaged file; return what is left."""
        journal = self.open_damaged(content)
        found = journal.entries()
        self.assertTrue(journal.durable)
        # Nobody is made up, or out of order.
        self.assertEqual([e for e in ENTRIES if e in found], found)
        if self.in_place_of_it():
            self.assertEqual([], found)
        else:
            lost = len(ENTRIES) - len(found)
            self.assertEqual(lost, len(set(self.set_aside())))
        self.assertEqual(found, self.reopened(journal).entries())
        return found

    def test_truncated_anywhere(self):
        for length in range(0, len(self.content), 997):
            self.check(self.content[:length])
            if not self.in_place_of_it():
                continue  # of an empty page
            (aside,) = self.in_place_of_it()
            aside = os.path.join(self.directory, aside)
            self.assertEqual(length, os.path.getsize(aside))

    @admission.settings(80)
    @hypothesis.given(st.data())
    def test_flipped_bytes(self, data):
        last = len(self.content) - 1
        # SQLite's own bytes are a few: at the start of a page.
        place = st.integers(0, last) | st.builds(
            lambda page, byte: min(page * 4096 + byte, last),
            st.integers(0, 9),
            st.integers(0, 130),
        )
        flips = data.draw(
            st.dictionaries(place, st.integers(1, 255), min_size=1)
        )
        content = bytearray(self.content)
        for where, mask in flips.items():
            content[where] ^= mask
        self.check(content)

    @admission.settings(25)
    @hypothesis.given(st.data())
    def test_a_lost_block(self, data):
        block = data.draw(st.integers(0, len(self.content) // 512))
        start, end = block * 512, block * 512 + 512
        content = self.content[:start] + bytes(512) + self.content[end:]
        self.check(content[: len(self.content)])

    def test_random_damage_never_stops_the_service(self):
        """Bytes change and the end is lost, anywhere, in 300 files."""
        for seed in range(300):
            chance = random.Random(seed)
            content = bytearray(self.content)
            for _ in range(chance.choice((1, 1, 3, 30, 300))):
                # Where SQLite's own bytes are: at a page's start, and the
                # schema at the end of the first.
                page = chance.randrange(9) * 4096
                where = chance.choice(
                    (
                        chance.randrange(len(content)),
                        page + chance.randrange(700),
                        4095 - chance.randrange(500),
                    )
                )
                content[where] = chance.randrange(256)
            if chance.random() < 0.2:
                del content[chance.randrange(len(content)) :]
            self.check(content)

    def test_a_complaint_of_sqlite_that_is_no_text(self):
        """Python raises UnicodeDecodeError in the place of its error."""
        schema = self.content.index(b'tableentriesentries')
        sql = self.content.index(b'(position INTEGER', schema)
        for damage in ({schema + 6: 0xBE, sql: 0}, {sql: 0xF1}):
            content = bytearray(self.content)
            for where, byte in damage.items():
                content[where] = byte
            self.check(content)
            self.assertEqual(1, len(self.in_place_of_it()))

    def test_a_format_that_is_read_only_to_sqlite(self):
        for where in (18, 19):
            for value in (2, 3):
                content = bytearray(self.content)
                content[where] = value
                self.assertEqual([], self.check(content))

    def test_rows_larger_than_a_page_survive_too(self):
        large = base.make_entry('large', reason='x' * 100_000)
        self.open_journal(large).close()
        with open(self.path, 'r+b') as file:
            file.seek(self.spans[3][0] + 200)
            file.write(b'?')
        found = self.open_journal().entries()
        self.assertEqual([*ENTRIES[:3], *ENTRIES[4:], large], found)

    def test_one_broken_row(self):
        content = bytearray(self.content)
        content[self.spans[3][1] - 100] ^= 1
        journal = self.open_damaged(content)
        self.assertEqual(ENTRIES[:3] + ENTRIES[4:], journal.entries())
        self.assertEqual([], self.in_place_of_it())
        self.assertEqual([ENTRIES[3].migration_uuid], self.set_aside())
        self.reopened(journal)
        (error,) = self.errors()
        self.assertIn(ENTRIES[3].migration_uuid, error)

    def set_aside(self):
        query = 'SELECT migration_uuid FROM set_aside'
        db = sqlite3.connect(self.path)
        self.addCleanup(db.close)
        return [uuid for (uuid,) in db.execute(query)]

    def change_row(self, **values):
        """Rewrite the last row as another version of us would."""
        journal = self.open_journal()
        position, _, uuid, old = journal._rows.get(ENTRIES[-1].migration_uuid)
        primitive = json.dumps({**json.loads(old), **values})
        journal._rows._rows[uuid] = rows_lib.sealed(position, uuid, primitive)
        journal.put(ENTRIES[0])
        journal.close()

    def test_what_we_can_not_understand_is_set_aside(self):
        for values in (
            {'nova_throttle_object.version': '2.99'},
            {'nova_throttle_object.version': '1.0'},
            {'nova_throttle_object.name': 'Gate'},
            {'nova_throttle_object.name': 'Unheard'},
            {'nova_throttle_object.data': {'state': 'flying'}},
            {'nova_throttle_object.data': None},
        ):
            self.open_damaged(self.content).close()
            self.change_row(**values)
            journal = self.open_journal()
            self.assertEqual(ENTRIES[:-1], journal.entries())
            self.assertTrue(journal.durable)
            self.assertEqual([ENTRIES[-1].migration_uuid], self.set_aside())
            self.assertEqual([], self.in_place_of_it())
        self.assertEqual(6, len(self.errors()))

    def test_a_crash_in_the_middle_of_a_rewrite(self):
        content = b'?' * 100 + self.content[100:]
        for leftover in (f'{self.path}.new', f'{self.path}.new-journal'):
            shutil.rmtree(self.directory)
            os.mkdir(self.directory)
            with open(leftover, 'wb') as file:
                file.write(b'a part of it')
            with open(self.path, 'wb') as file:
                file.write(content)
            self.assertEqual([], self.open_journal().entries())
            self.assertFalse(os.path.lexists(leftover))
            self.assertEqual(1, len(self.in_place_of_it()))

    def test_damage_while_it_is_open(self):
        journal = self.open_journal()
        with open(self.path, 'r+b') as file:
            file.write(b'?' * len(self.content))
        entry = base.make_entry('a')
        journal.put(entry)
        self.assertEqual([*ENTRIES, entry], journal.entries())
        self.assertTrue(journal.durable)
        self.assertEqual([*ENTRIES, entry], self.reopened(journal).entries())
        self.assertEqual(1, len(self.errors()))

    def test_it_is_removed_while_it_is_open(self):
        journal = self.open_journal()
        os.unlink(self.path)
        journal.remove(ENTRIES[0].migration_uuid)
        self.assertTrue(journal.durable)
        self.assertEqual(ENTRIES[1:], self.reopened(journal).entries())
        self.assertEqual(1, len(self.errors()))

    def test_its_directory_is_removed_while_it_is_open(self):
        journal = self.open_journal()
        shutil.rmtree(self.directory)
        journal.put(ENTRIES[0])
        self.assertTrue(journal.durable)
        self.assertEqual(ENTRIES, self.reopened(journal).entries())

    def test_somebody_else_has_a_transaction(self):
        journal = self.open_journal()
        db = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(db.close)
        db.execute('BEGIN EXCLUSIVE')
        journal.remove(ENTRIES[0].migration_uuid)
        self.assertFalse(journal.durable)
        db.execute('COMMIT')
        journal.sync()
        self.assertTrue(journal.durable)
        self.assertEqual([], self.in_place_of_it())
        self.assertEqual(ENTRIES[1:], self.reopened(journal).entries())


class InPlaceOfItTestCase(base.JournalTestCase):
    """Something that is no journal is where the journal should be."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.directory)

    def check(self):
        """Check that it is kept under another name, once; return that."""
        before = os.lstat(self.path)
        entry = base.make_entry('a')
        journal = self.open_journal(entry)
        self.assertTrue(journal.durable)
        self.assertEqual([entry], journal.entries())
        self.assertEqual(journal.entries(), self.reopened(journal).entries())
        (name,) = self.in_place_of_it()
        (error,) = self.errors()
        self.assertIn(self.path, error)
        self.assertIn(name, error)
        path = os.path.join(self.directory, name)
        self.assertEqual(before.st_ino, os.lstat(path).st_ino)
        return path

    def write(self, content, path=None):
        with open(path or self.path, 'wb') as file:
            file.write(content)

    def read(self, path):
        with open(path, 'rb') as file:
            return file.read()

    def test_nothing_in_it(self):
        self.write(b'')
        self.assertEqual(b'', self.read(self.check()))

    def test_no_database(self):
        content = b'nt1: no database ' * 1000
        self.write(content)
        self.assertEqual(content, self.read(self.check()))

    def test_a_database_of_somebody_else(self):
        db = sqlite3.connect(self.path)
        with db:
            db.execute('CREATE TABLE entries (x)')
            db.execute('PRAGMA user_version = 1')
        db.close()
        content = self.read(self.path)
        self.assertEqual(content, self.read(self.check()))

    def test_a_directory(self):
        os.mkdir(self.path)
        self.write(b'x', os.path.join(self.path, 'file'))
        self.assertEqual(['file'], os.listdir(self.check()))

    def test_a_fifo(self):
        os.mkfifo(self.path)
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.check()).st_mode))

    def test_a_link_is_not_followed(self):
        elsewhere = self.open_elsewhere()
        content = self.read(elsewhere)
        os.chmod(elsewhere, 0o644)
        os.symlink(elsewhere, self.path)
        self.assertEqual(elsewhere, os.readlink(self.check()))
        self.assertEqual(content, self.read(elsewhere))
        self.assertEqual(0o644, stat.S_IMODE(os.stat(elsewhere).st_mode))

    def open_elsewhere(self):
        path, self.path = self.path, os.path.join(self.directory, 'other')
        self.patch(base, 'HOST', 'other')
        self.open_journal(base.make_entry('z')).close()
        self.patch(base, 'HOST', 'host/1')
        path, self.path = self.path, path
        return f'{path}.sqlite'

    def test_a_link_to_nowhere(self):
        os.symlink('nowhere', self.path)
        self.check()
        self.assertNotIn('nowhere', os.listdir(self.directory))

    def test_a_journal_of_a_newer_version(self):
        self.check_version(store_lib.SCHEMA_VERSION + 1, '.newer-')

    def test_a_journal_of_an_older_version(self):
        self.check_version(store_lib.SCHEMA_VERSION - 1, '.older-')

    def check_version(self, version, name):
        self.open_journal(*ENTRIES).close()
        db = sqlite3.connect(self.path)
        db.execute(f'PRAGMA user_version = {version}')
        # Whoever raises the version may change the seal.
        db.execute("UPDATE entries SET seal = 'x'")
        db.commit()
        db.close()
        content = self.read(self.path)
        path = self.check()
        self.assertIn(name, path)
        self.assertEqual(content, self.read(path))

    def test_links_beside_it(self):
        self.open_journal(base.make_entry('b')).close()
        precious = os.path.join(self.directory, 'precious')
        self.write(b'precious', precious)
        os.unlink(f'{self.path}-journal')
        os.symlink(precious, f'{self.path}-journal')
        self.check()
        self.assertEqual(b'precious', self.read(precious))

    def test_a_transaction_of_another_file_beside_it(self):
        self.open_journal(base.make_entry('b')).close()
        self.write(os.urandom(50_000), f'{self.path}-journal')
        journal = self.open_journal()
        self.assertEqual(1, len(journal.entries()))
        self.assertTrue(journal.durable)

    def test_what_is_set_aside_is_never_overwritten(self):
        for number in range(5):
            self.write(b'%d' % number)
            self.open_journal().close()
        paths = [
            os.path.join(self.directory, name)
            for name in self.in_place_of_it()
        ]
        self.assertEqual(
            {b'%d' % number for number in range(5)},
            {self.read(path) for path in paths},
        )

    def test_something_in_place_of_the_lock(self):
        lock = self.path.replace('.sqlite', '.lock')
        os.symlink('nowhere', lock)
        self.assertTrue(self.open_journal().durable)
        self.assertNotIn('nowhere', os.listdir(self.directory))
        self.assertTrue(stat.S_ISREG(os.lstat(lock).st_mode))

    def test_something_in_place_of_the_directory(self):
        os.rmdir(self.directory)
        self.write(b'', self.directory)
        entry = base.make_entry('a')
        journal = self.open_journal(entry)
        self.assertFalse(journal.durable)
        self.assertEqual([entry], journal.entries())
        self.assertEqual(1, len(self.errors()))
        os.unlink(self.directory)
        journal.sync()
        self.assertTrue(journal.durable)
        self.assertEqual([entry], self.reopened(journal).entries())


AS_NOBODY = """
import os, sys
# First, because the package of the tests decides on the kind of threads.
from nova_throttle.tests.unit.journal import base
from nova_throttle import journal
os.setresuid(65534, 65534, 65534)
journal = journal.Journal(sys.argv[1], base.HOST)
journal.open()
journal.put(base.make_entry('a'))
print(journal.durable, len(journal.entries()))
"""


class PermissionsTestCase(base.JournalTestCase):
    def setUp(self):
        super().setUp()
        if os.getuid():
            self.skipTest('needs root, to become somebody else')
        os.chmod(os.path.dirname(self.directory), 0o755)
        self.open_journal(base.make_entry('b')).close()

    def as_nobody(self):
        """Return what nobody finds."""
        return subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', AS_NOBODY, self.directory],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ).stdout.strip()

    def test_a_file_that_can_not_be_read(self):
        os.unlink(self.path.replace('.sqlite', '.lock'))
        os.chown(self.directory, 65534, 65534)
        os.chmod(self.path, 0)
        self.assertEqual('True 1', self.as_nobody())
        (name,) = self.in_place_of_it()
        self.assertIn('.damaged-', name)

    def test_a_file_that_only_need_be_opened_up(self):
        for name in ('', *os.listdir(self.directory)):
            path = os.path.join(self.directory, name)
            os.chown(path, 65534, 65534)
            os.chmod(path, 0o700 if not name else 0)
        self.assertEqual('True 2', self.as_nobody())
        self.assertEqual([], self.in_place_of_it())

    def test_a_directory_of_somebody_else(self):
        self.assertEqual('False 1', self.as_nobody())
        self.assertEqual(1, len(self.open_journal().entries()))

    def test_a_directory_where_all_can_write(self):
        os.chmod(self.directory, 0o777)
        self.assertEqual('False 1', self.as_nobody())
