# SPDX-License-Identifier: Apache-2.0

"""While the disk fails, the journal goes on in memory.

It says so once, and writes everything as soon as the disk lets it.
"""

import resource
import shutil
import subprocess
import sys

import testtools

from nova_throttle.tests.unit.journal import base

_UNSHARE = ('unshare', '--map-root-user', '--mount')
_MOUNTS = 'nova_throttle.tests.unit.journal.mounts'


def run(*command):
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


class MountsTestCase(testtools.TestCase):
    def test_real_disks(self):
        if shutil.which('unshare') is None:
            self.skipTest('needs unshare(1)')
        probe = run(*_UNSHARE, 'mount', '-t', 'tmpfs', 'probe', '/mnt')
        if probe.returncode:
            self.skipTest(f'must not mount: {probe.stdout}')
        python = (sys.executable, '-W', 'ignore', '-m', 'testtools.run')
        done = run(*_UNSHARE, *python, _MOUNTS)
        self.assertEqual(0, done.returncode, done.stdout)


class LimitsTestCase(base.DiskTestCase):
    def limit(self, size):
        """Let no file grow beyond a size: writes to it fail."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

    def test_writes_that_fail_at_the_start(self):
        for size in (0, 100, 17_000, 33_000):
            self.limit(size)
            journal = self.open_journal(*base.ENTRIES)
            self.in_memory_only(journal, base.ENTRIES)
            self.limit(resource.RLIM_INFINITY)
            journal.sync()
            self.on_disk(journal, base.ENTRIES)
            shutil.rmtree(self.directory)
            self.logs.reset_output()

    def test_writes_that_fail_later(self):
        journal = self.open_journal(*base.ENTRIES[:3])
        self.limit(60_000)
        for entry in base.ENTRIES[3:]:
            journal.put(entry)
        journal.put(base.ENTRIES[1])
        self.in_memory_only(journal, base.ENTRIES)
        self.limit(resource.RLIM_INFINITY)
        journal.put(base.ENTRIES[2])
        self.on_disk(journal, base.ENTRIES)

    def test_no_file_handles(self):
        self.open_journal(*base.ENTRIES[:3]).close()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        journal = self.open_journal(base.ENTRIES[3])
        self.in_memory_only(journal, base.ENTRIES[3:4])
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        journal.sync()
        self.on_disk(journal, base.ENTRIES[:4])

    def test_says_when_it_is_well_again(self):
        self.limit(0)
        journal = self.open_journal(base.ENTRIES[0])
        self.limit(resource.RLIM_INFINITY)
        journal.sync()
        journal.sync()
        bad, good = self.errors()
        self.assertIn('in memory only', bad)
        self.assertIn('can be written again', good)

    def test_closed_while_it_can_not_be_written(self):
        self.limit(0)
        journal = self.open_journal(base.ENTRIES[0])
        journal.close()
        self.assertEqual(base.ENTRIES[:1], journal.entries())
        self.limit(resource.RLIM_INFINITY)
        journal.open()
        self.on_disk(journal, base.ENTRIES[:1])
