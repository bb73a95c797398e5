# SPDX-License-Identifier: Apache-2.0

"""Disks that are full, read-only or late are real ones here.

test_disk.py runs this, as root of a mount namespace of its own.
"""

import os
import shutil
import sqlite3
import subprocess

from nova_throttle.tests.unit.journal import base

ENTRIES = base.ENTRIES


class MountsTestCase(base.DiskTestCase):
    home = None

    def mount(self, *arguments):
        subprocess.run(['mount', *arguments, self.directory], check=True)

    def mount_small_disk(self):
        os.mkdir(self.directory)
        self.mount('-t', 'tmpfs', '-o', 'size=512k', 'small')
        self.ballast = os.path.join(self.directory, 'ballast')

    def fill(self, leave=0):
        stat = os.statvfs(self.directory)
        with open(self.ballast, 'wb') as file:
            file.write(bytes(stat.f_bavail * stat.f_bsize - leave))

    def test_a_disk_that_is_full_at_the_start(self):
        for leave in (0, 4096, 20_000, 70_000):
            self.mount_small_disk()
            self.fill(leave)
            journal = self.open_journal(*ENTRIES)
            journal.remove(ENTRIES[3].migration_uuid)
            entries = ENTRIES[:3] + ENTRIES[4:]
            self.in_memory_only(journal, entries)
            os.unlink(self.ballast)
            journal.sync()
            self.on_disk(journal, entries)
            self.unmount()

    def unmount(self):
        subprocess.run(['umount', '-l', self.directory], check=True)
        os.rmdir(self.directory)
        self.logs.reset_output()

    def test_a_disk_that_becomes_full(self):
        for leave in (0, 16_384, 40_000):
            self.mount_small_disk()
            journal = self.open_journal(*ENTRIES[:3])
            self.fill(leave)
            for entry in ENTRIES[3:]:
                journal.put(entry)
            journal.remove(ENTRIES[0].migration_uuid)
            self.in_memory_only(journal, ENTRIES[1:])
            os.unlink(self.ballast)
            journal.put(ENTRIES[1])
            self.on_disk(journal, ENTRIES[1:])
            self.unmount()

    def test_what_is_on_a_full_disk_is_not_lost(self):
        self.mount_small_disk()
        self.open_journal(*ENTRIES[:3]).close()
        self.fill()
        journal = self.open_journal(ENTRIES[3])
        self.in_memory_only(journal, ENTRIES[:4])
        # Killed now, this is what remains.
        journal._opened = False
        journal._files.disown()
        self.logs.reset_output()
        self.in_memory_only(self.open_journal(), ENTRIES[:3])

    def test_damage_on_a_full_disk(self):
        self.mount_small_disk()
        self.open_journal(*ENTRIES[:3]).close()
        with open(self.path, 'r+b') as file:
            file.write(bytes(100))
        self.fill()
        journal = self.open_journal(ENTRIES[3])
        self.in_memory_only(journal, ENTRIES[3:4])
        self.assertEqual([], self.in_place_of_it())
        os.unlink(self.ballast)
        journal.sync()
        self.assertTrue(journal.durable)
        self.assertEqual(1, len(self.in_place_of_it()))
        self.assertEqual(ENTRIES[3:4], self.reopened(journal).entries())

    def test_a_read_only_disk(self):
        self.open_journal(*ENTRIES[:3]).close()
        self.mount('--bind', self.directory)
        self.mount('-o', 'remount,ro,bind')
        journal = self.open_journal(ENTRIES[3])
        self.in_memory_only(journal, ENTRIES[:4])
        journal.remove(ENTRIES[0].migration_uuid)
        self.in_memory_only(journal, ENTRIES[1:4])
        self.mount('-o', 'remount,rw,bind')
        journal.put(ENTRIES[4])
        self.on_disk(journal, ENTRIES[1:5])

    def test_a_read_only_disk_without_a_journal(self):
        os.mkdir(self.directory)
        self.mount('--bind', self.directory)
        self.mount('-o', 'remount,ro,bind')
        self.in_memory_only(self.open_journal(ENTRIES[0]), ENTRIES[:1])

    def test_an_interrupted_transaction_on_a_read_only_disk(self):
        journal = self.open_journal(*ENTRIES)
        db = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(db.close)
        db.executescript(
            "PRAGMA cache_size = 1; BEGIN; UPDATE entries SET seal = 'x'"
        )
        copy = f'{self.directory}-copy'
        shutil.copytree(self.directory, copy)
        db.execute('ROLLBACK')
        journal.close()
        self.assertLess(0, os.path.getsize(f'{copy}/{base.NAME}-journal'))
        os.rename(self.directory, f'{self.directory}-old')
        os.rename(copy, self.directory)
        self.mount('--bind', self.directory)
        self.mount('-o', 'remount,ro,bind')
        journal = self.open_journal()
        # SQLite would have to write, to read it.
        self.in_memory_only(journal, [])
        self.mount('-o', 'remount,rw,bind')
        journal.sync()
        self.assertTrue(journal.durable)
        self.assertEqual([], self.in_place_of_it())
        self.assertEqual(ENTRIES, self.reopened(journal).entries())

    def test_a_disk_that_comes_late(self):
        self.open_journal(*ENTRIES[:3]).close()
        hidden = f'{self.directory}-hidden'
        os.rename(self.directory, hidden)
        with open(self.directory, 'wb'):
            pass
        journal = self.open_journal(ENTRIES[3])
        journal.put(ENTRIES[1])
        journal.remove(ENTRIES[0].migration_uuid)
        journal.put(ENTRIES[0])
        self.in_memory_only(journal, [ENTRIES[3], ENTRIES[1], ENTRIES[0]])
        journal.remove(ENTRIES[2].migration_uuid)
        os.unlink(self.directory)
        os.rename(hidden, self.directory)
        journal.sync()
        # Places of the file first; the removed ones are gone from it.
        self.on_disk(journal, [ENTRIES[1], ENTRIES[3], ENTRIES[0]])
