# SPDX-License-Identifier: Apache-2.0

"""Killed at any instant, the journal has what it said it has.

A real process is killed with SIGKILL before and after each of its system
calls, and in the middle of each write. What it had been told is done is there
afterwards, in its order; what it was at is done or not, nothing in between.

OS_THROTTLE_KILL_ALL=1 tries every instant, otherwise a sample.
"""

import json
import os
import shutil
import subprocess
import sys

from nova_throttle import journal as journal_lib
from nova_throttle.tests.unit.journal import base

# On x86-64.
WRITE, PWRITE, FSYNC, FDATASYNC, FTRUNCATE = 1, 18, 74, 75, 77
RENAME, LINK, UNLINK = 82, 86, 87
CHANGES = (PWRITE, FTRUNCATE, RENAME, LINK, UNLINK)

REQUIRED = {
    'migration_id': 1,
    'instance_uuid': 'instance',
    'destination': 'dest',
}


def put(name, reason):
    # Several on a page, and several pages.
    values = {'migration_uuid': name, 'reason': f'{reason} ' * 1000}
    return ['put', {**REQUIRED, **values}]


SCRIPT = [
    ['open'],
    put('a', 'new'),
    put('b', 'new'),
    put('c', 'new'),
    put('a', 'changed'),
    ['remove', 'b'],
    ['remove', 'unknown'],
    put('d', 'new'),
    ['close'],
    ['open'],
    put('b', 'again'),
    ['remove', 'c'],
    put('d', 'changed'),
    put('d', 'changed more'),
    ['remove', 'a'],
]


def state_after(script, entries=()):
    """Return what a journal has after a script, as (name, reason)."""
    state = dict(entries)
    for action, *arguments in script:
        if action == 'put':
            (values,) = arguments
            state[values['migration_uuid']] = values['reason']
        elif action == 'remove':
            state.pop(*arguments, None)
    return list(state.items())


class KillTestCase(base.JournalTestCase):
    def setUp(self):
        super().setUp()
        self.killer = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-m', f'{__package__}.killer'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.addCleanup(self.killer.communicate)

    def kill(self, script, instant=None, torn=False):
        """Run a script; return what was said and what the stops were."""
        request = {'directory': self.directory, 'script': script}
        line = json.dumps({**request, 'instant': instant, 'torn': torn})
        print(line, file=self.killer.stdin, flush=True)
        answer = self.killer.stdout.readline()
        if not answer:
            self.skipTest('must not trace a process')
        return json.loads(answer)

    def instants(self, stops):
        """Return when to kill: (stop, whether in the middle of a write)."""
        calls = [stop and stop[0] for stop in stops]
        found = [(stop, False) for stop in range(len(stops))]
        found += [(n, True) for n, call in enumerate(calls) if call == PWRITE]
        if os.environ.get('OS_THROTTLE_KILL_ALL') == '1':
            return found
        sample = [each for each in found if calls[each[0]] in CHANGES]
        sample = sample or found  # no x86-64
        return sample[:: max(len(sample) // 80, 1)]

    def found(self):
        journal = journal_lib.Journal(self.directory, 'host')
        journal.open()
        self.assertTrue(journal.durable)
        entries = journal.entries()
        journal.close()
        return [(entry.migration_uuid, entry.reason) for entry in entries]

    def check(self, script, prepare=lambda: None, entries=()):
        """Kill a process that does this, at all instants."""
        prepare()
        said, stops = self.kill(script)
        self.assertEqual('<>' * len(script), said)
        self.assertEqual(state_after(script, entries), self.found())
        for instant, torn in self.instants(stops):
            shutil.rmtree(self.directory, ignore_errors=True)
            prepare()
            said, _ = self.kill(script, instant, torn)
            done, begun = said.count('>'), said.count('<')
            self.assertIn(
                self.found(),
                (
                    state_after(script[:done], entries),
                    state_after(script[:begun], entries),
                ),
                f'{script[done:begun]} killed at {instant} {torn}',
            )
        return stops

    def test_a_journal_in_use(self):
        self.check(SCRIPT)
        self.assertEqual([], self.errors())

    def test_a_damaged_journal(self):
        script = SCRIPT[:8]
        self.kill(script)
        healthy = f'{self.directory}-healthy'
        os.rename(self.directory, healthy)

        def damage():
            shutil.copytree(healthy, self.directory)
            with open(f'{self.directory}/host.sqlite', 'r+b') as file:
                file.write(bytes(200))

        self.check(SCRIPT[9:], damage)

    def test_what_is_said_to_be_done_is_on_disk(self):
        _, stops = self.kill(SCRIPT)
        calls = [stop for stop in stops if stop]
        if not calls:
            self.skipTest('knows the system calls of x86-64 only')
        pipe = next(stop[1] for stop in calls if stop[0] == WRITE)
        # Files with data that a power loss would take.
        dirty, syncs = set(), 0
        for number, handle, *_ in calls:
            if number in (PWRITE, FTRUNCATE):
                dirty.add(handle)
            elif number in (FSYNC, FDATASYNC):
                dirty.discard(handle)
                syncs += 1
            elif (number, handle) == (WRITE, pipe):
                self.assertEqual(set(), dirty)
        self.assertLess(len(SCRIPT), syncs)
