# SPDX-License-Identifier: Apache-2.0

"""The lines of all hosts about one migration are found and put in order."""

import json
import os
import pathlib
import tempfile
import time
import unittest
from unittest import mock

from labkit.cloud import Action
from labkit.cloud import Migration
from labkit import shell
from labkit import trace

LOGS = {
    'compute1/nova-compute.log': '''\
no time here, and no entry before
2026-11-26 00:00:02.500 7 INFO nova.m [None req-1] asked for m1
2026-11-26 00:00:04.000 7 ERROR nova.m [None req-9] failed: m1
2026-11-26 00:00:04.000 7 ERROR nova.m Traceback (most recent call last):
2026-11-26 00:00:04.000 7 ERROR nova.m   File "x.py"
2026-11-26 00:00:04.000 8 INFO nova.m [None req-8] another process
2026-11-26 00:00:05.000 7 INFO nova.m [None req-2] of another
''',
    'compute2/libvirtd.log': '''\
2026-11-26 00:00:03.250+0000: 9: error : virDomain: instance-1 is busy
''',
    'ctl/nova-api.out': '''\
[pid: 1|app: 0|req: 1/1] 10.99.0.10 () {1 vars} [Thu Nov 26 00:00:01 2026] \
POST /v2.1/servers/s1/action => generated 0 bytes
''',
    'lab/diary.log': '''\
2026-11-26 00:00:00.000 fault begins: bus
2026-11-26 00:00:02.000 fault begins: API
2026-11-26 00:00:02.100 request accepted: of another server
2026-11-26 00:00:03.000    4.2 s  migration 1 compute1 -> compute2 error
2026-11-26 00:00:03.100    4.3 s  migration 12 compute1 -> compute2 error
2026-11-26 00:00:09.000 fault healed: API
''',
}
WORDS = ['m1', 's1', 'instance-1', 'req-1', 'migration 1 ']


class MergeTestCase(unittest.TestCase):
    def setUp(self):
        # libvirt's times are UTC, the others local.
        patch = mock.patch.dict(os.environ, TZ='UTC')
        patch.start()
        self.addCleanup(time.tzset)
        self.addCleanup(patch.stop)
        time.tzset()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        for name, text in LOGS.items():
            path = self.place / name
            path.parent.mkdir()
            path.write_text(text)

    def merge(self, words):
        return list(trace.merge(trace.kept(self.place), words))

    def test_in_the_order_of_time(self):
        lines = self.merge(WORDS)
        self.assertEqual(
            [
                'ctl/nova-api',
                'lab/diary',
                'compute1/nova-compute',
                'lab/diary',
                'compute2/libvirtd',
                *3 * ['compute1/nova-compute'],
            ],
            [line.split()[0] for line in lines],
        )
        self.assertIn('fault begins: API', lines[1])
        self.assertIn('migration 1 ', lines[3])
        self.assertIn('File "x.py"', lines[-1])

    def test_without_the_traceback(self):
        files = trace.kept(self.place)
        self.assertEqual(6, len(list(trace.merge(files, WORDS, short=True))))

    def test_nothing_about_it(self):
        self.assertEqual([], self.merge(['m3']))

    def test_a_kept_run(self):
        known = [{'id': 1, 'uuid': 'm1', 'names': WORDS}]
        (self.place / trace.RECORDS).write_text(json.dumps(known))
        loaded = trace.load(self.place)
        self.assertEqual(WORDS, trace.names(loaded, 'm1'))
        self.assertEqual(WORDS, trace.names(loaded, '1'))
        self.assertRaises(shell.LabError, trace.names, loaded, '2')

    def test_a_directory_of_something_else(self):
        self.assertRaises(shell.LabError, trace.load, self.place)


class RequestsTestCase(unittest.TestCase):
    actions = (
        Action('create', 'req-0', '2026-11-26T00:00:00.000000'),
        Action('live-migration', 'req-1', '2026-11-26T00:00:01.000000'),
        Action('live_migration_cancel', 'req-2', '2026-11-26T00:00:03.000000'),
        Action('live-migration', 'req-3', '2026-11-26T00:00:05.000000'),
    )

    def find(self, created):
        places = ('compute1', 'compute2')
        migration = Migration(1, 'm1', 's1', *places, 'error', '', created)
        return trace.requests(migration, self.actions)

    def test_until_the_next(self):
        self.assertEqual(
            ['req-1', 'req-2'], self.find('2026-11-26T00:00:01.000000')
        )

    def test_the_last(self):
        self.assertEqual(['req-3'], self.find('2026-11-26T00:00:06.000000'))

    def test_none(self):
        self.assertEqual([], self.find('2026-11-26T00:00:00.000000'))
