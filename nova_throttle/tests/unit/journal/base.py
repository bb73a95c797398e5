# SPDX-License-Identifier: Apache-2.0

"""What the tests of the journal share."""

import os

import fixtures
from oslo_utils.fixture import uuidsentinel as uuids
import testtools

from nova_throttle import journal as journal_lib
from nova_throttle.objects import entry as entry_obj

HOST = 'host/1'
NAME = 'host%2F1.sqlite'


def make_entry(name, **values):
    """Return an entry for a name that a test can remember."""
    return entry_obj.JournalEntry(
        migration_uuid=getattr(uuids, name),
        migration_id=1,
        instance_uuid=uuids.instance,
        **{'destination': 'dest', **values},
    )


ENTRIES = [
    make_entry(f'entry-{number}', reason=f'{number}-' * 700)
    for number in range(12)
]


# Where fsync is fast: no test takes the power away.
MEMORY_DISK = '/dev/shm' if os.path.isdir('/dev/shm') else None


class JournalTestCase(testtools.TestCase):
    """A test with a directory for journals, and what they logged."""

    home = MEMORY_DISK

    def setUp(self):
        super().setUp()
        self.logs = self.useFixture(fixtures.FakeLogger())
        home = self.useFixture(fixtures.TempDir(self.home)).path
        self.directory = os.path.join(home, 'journals')
        self.path = os.path.join(self.directory, NAME)

    def make_journal(self):
        """Return a journal that is not open."""
        journal = journal_lib.Journal(self.directory, HOST)
        self.addCleanup(journal.close)
        return journal

    def open_journal(self, *entries):
        """Return an open journal to which these entries were added."""
        journal = self.make_journal()
        journal.open()
        for entry in entries:
            journal.put(entry)
        return journal

    def reopened(self, journal):
        """Return what a successor has."""
        journal.close()
        return self.open_journal()

    def errors(self):
        """Return the lines of the log that want attention."""
        lines = self.logs.output.splitlines()
        return [line for line in lines if 'ournal' in line]

    def in_place_of_it(self):
        """Return the names of what was set aside, without SQLite's."""
        return sorted(
            name
            for name in os.listdir(self.directory)
            if name.startswith(f'{NAME}.') and not name.endswith('-journal')
        )


class DiskTestCase(JournalTestCase):
    def in_memory_only(self, journal, entries):
        self.assertFalse(journal.durable)
        self.assertEqual(entries, journal.entries())
        self.assertEqual(1, len(self.errors()), self.errors())

    def on_disk(self, journal, entries):
        self.assertTrue(journal.durable)
        self.assertEqual(entries, self.reopened(journal).entries())
        self.assertEqual([], self.in_place_of_it())
