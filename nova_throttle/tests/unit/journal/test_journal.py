# SPDX-License-Identifier: Apache-2.0

"""A journal on a healthy disk keeps what it is told to, in order."""

import json
import os
import stat
import subprocess
import sys
import threading

from oslo_utils.fixture import uuidsentinel as uuids

from nova_throttle import activation
from nova_throttle.journal import rows
from nova_throttle.tests.unit.journal import base


class JournalTestCase(base.JournalTestCase):
    def test_touches_nothing_before_it_is_open(self):
        journal = self.make_journal()
        self.assertFalse(os.path.lexists(self.directory))
        self.assertFalse(journal.durable)
        self.assertEqual([], journal.entries())

    def test_keeps_entries_in_their_order(self):
        entries = [base.make_entry(name) for name in ('b', 'a', 'c')]
        journal = self.open_journal(*entries)
        self.assertTrue(journal.durable)
        for _ in range(2):
            self.assertEqual(entries, journal.entries())
            self.assertEqual(entries[1], journal.get(uuids.a))
            self.assertIsNone(journal.get(uuids.z))
            journal = self.reopened(journal)
        self.assertEqual([], self.errors())

    def test_a_changed_entry_keeps_its_place(self):
        a, b = base.make_entry('a'), base.make_entry('b')
        journal = self.open_journal(a, b)
        a.state = 'transferring'
        journal.put(a)
        self.assertEqual([a, b], journal.entries())
        journal = self.reopened(journal)
        self.assertEqual([a, b], journal.entries())
        journal.put(b)
        self.assertEqual([a, b], self.reopened(journal).entries())

    def test_what_was_put_is_a_copy(self):
        entry = base.make_entry('a')
        journal = self.open_journal(entry)
        entry.state = 'transferring'
        journal.get(uuids.a).state = 'rolling back'
        journal.entries()[0].state = 'rolling back'
        self.assertEqual('queued', journal.get(uuids.a).state)

    def test_removes(self):
        a, b, c = map(base.make_entry, 'abc')
        journal = self.open_journal(a, b, c)
        journal.remove(uuids.b)
        journal.remove(uuids.b)
        journal.remove('unknown')
        self.assertEqual([a, c], journal.entries())
        self.assertEqual([a, c], self.reopened(journal).entries())

    def test_who_comes_back_comes_last(self):
        a, b = base.make_entry('a'), base.make_entry('b')
        journal = self.open_journal(a, b)
        journal.remove(uuids.a)
        journal = self.reopened(journal)
        journal.put(a)
        self.assertEqual([b, a], journal.entries())
        self.assertEqual([b, a], self.reopened(journal).entries())

    def test_the_clock_goes_back(self):
        a, b = base.make_entry('a'), base.make_entry('b')
        journal = self.open_journal(a)
        journal.close()
        self.patch(rows.time, 'time_ns', lambda: 1)
        journal = self.open_journal(b)
        self.assertEqual([a, b], journal.entries())

    def test_closes_twice_and_opens_again(self):
        entry = base.make_entry('a')
        journal = self.open_journal(entry)
        journal.close()
        journal.close()
        self.assertFalse(journal.durable)
        self.assertEqual([], journal.entries())
        journal.open()
        journal.open()
        self.assertEqual([entry], journal.entries())
        self.assertTrue(journal.durable)

    def test_what_is_put_while_it_is_closed_is_written_at_open(self):
        a, b = base.make_entry('a'), base.make_entry('b')
        journal = self.open_journal(a)
        journal.close()
        journal.put(b)
        journal.sync()
        self.assertFalse(journal.durable)
        journal.open()
        self.assertEqual([a, b], journal.entries())
        self.assertEqual([a, b], self.reopened(journal).entries())

    def test_says_how_it_is(self):
        journal = self.open_journal(base.make_entry('a'))
        self.assertEqual(
            f'<Journal {self.path}: 1 entries, durable>', repr(journal)
        )

    def test_any_thread_may_call_it(self):
        journal = self.open_journal()

        def work(worker):
            for number in range(10):
                entry = base.make_entry(f'{worker}-{number}')
                journal.put(entry)
                if number % 2:
                    journal.remove(entry.migration_uuid)

        threads = [
            threading.Thread(target=work, args=(worker,))
            for worker in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(40, len(journal.entries()))
        expected = journal.entries()
        self.assertEqual(expected, self.reopened(journal).entries())


class PrivacyTestCase(base.JournalTestCase):
    def modes(self):
        names = os.listdir(self.directory)
        paths = [os.path.join(self.directory, name) for name in names]
        self.assertLessEqual({self.path, f'{self.path}-journal'}, {*paths})
        return {
            stat.S_IMODE(os.lstat(path).st_mode)
            for path in (self.directory, *paths)
        }

    def test_is_closed_to_others(self):
        self.addCleanup(os.umask, os.umask(0))
        self.open_journal(base.make_entry('a'))
        self.assertEqual({0o700, 0o600}, self.modes())

    def test_closes_what_is_open_to_others(self):
        journal = self.open_journal(base.make_entry('a'))
        journal.close()
        os.chmod(self.directory, 0o777)
        for name in os.listdir(self.directory):
            os.chmod(os.path.join(self.directory, name), 0o666)
        self.assertEqual(1, len(self.open_journal().entries()))
        self.assertEqual({0o700, 0o600}, self.modes())

    def test_no_secret_is_on_disk(self):
        secret = 'c0rrect-horse'
        entry = base.make_entry(
            'a',
            context={
                'user_id': 'the-user',
                'auth_token': secret,
                'password': secret,
                'service_catalog': [{'endpoint': secret}],
            },
            migrate_data=json.dumps({'auth_password': secret}),
        )
        journal = self.open_journal(entry)
        entry.context['auth_token'] = secret
        journal.put(entry)
        content = b''
        for name in os.listdir(self.directory):
            with open(os.path.join(self.directory, name), 'rb') as file:
                content += file.read()
        self.assertIn(b'the-user', content)
        self.assertNotIn(secret.encode(), content)


HOLD = """
from nova_throttle import journal
import sys
held = journal.Journal(*sys.argv[1:])
held.open()
print(held.durable, flush=True)
sys.stdin.read()
"""


class LockTestCase(base.JournalTestCase):
    def start_holder(self):
        """Start a process that has the journal."""
        holder = subprocess.Popen(
            [sys.executable, '-c', HOLD, self.directory, base.HOST],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(holder.communicate)
        self.addCleanup(holder.kill)
        self.assertEqual('True\n', holder.stdout.readline())
        return holder

    def test_two_processes_never_share_it(self):
        holder = self.start_holder()
        journal = self.make_journal()
        error = self.assertRaises(activation.JournalLocked, journal.open)
        self.assertIn(self.path, str(error))
        self.assertIn(base.HOST, str(error))
        self.assertNotIn('\n', str(error))
        self.assertFalse(journal.durable)
        holder.kill()
        holder.wait()
        journal.open()
        self.assertTrue(journal.durable)

    def test_waits_for_a_process_that_is_ending(self):
        holder = self.start_holder()
        ender = threading.Timer(0.2, holder.kill)
        ender.start()
        self.addCleanup(ender.join)
        self.assertTrue(self.open_journal().durable)

    def test_of_two_in_one_process_the_later_has_it(self):
        a, b, c = map(base.make_entry, 'abc')
        dropped = self.open_journal(a)
        journal = self.open_journal(b)
        self.assertFalse(dropped.durable)
        dropped.put(c)
        dropped.remove(a.migration_uuid)
        dropped.close()
        self.assertEqual([a, b], journal.entries())
        self.assertTrue(journal.durable)
        self.assertEqual([a, b], self.reopened(journal).entries())

    def test_each_host_has_its_own(self):
        self.open_journal(base.make_entry('a'))
        self.patch(base, 'HOST', '../2')
        self.assertEqual([], self.open_journal().entries())
        self.assertIn('..%2F2.sqlite', os.listdir(self.directory))
