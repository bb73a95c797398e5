# SPDX-License-Identifier: Apache-2.0

"""A journal is what a dict is, whatever happens between two calls.

JournalMachine drives a journal and a dict side by side with steps that
hypothesis chooses: it is closed and opened, killed, damaged, deprived of its
disk. While that fails, a second dict has what a kill would leave.
"""

import copy
import datetime
import os
import resource
import shutil
import tempfile

import fixtures
from hypothesis import stateful
from hypothesis import strategies as st

from nova_throttle import journal as journal_lib
from nova_throttle.objects import pause as pause_obj
from nova_throttle.tests.unit.admission import base as admission
from nova_throttle.tests.unit.journal import base

names = st.sampled_from('abcdefgh')
# On one page, on two, on one of its own.
reasons = st.builds(
    lambda letter, size: letter * size,
    st.sampled_from('xyz'),
    st.sampled_from((1, 2000, 2000, 6000, 20_000)),
)


PAUSE = 'pause'


def make_pause(reason):
    return pause_obj.Pause(
        reason=reason,
        since=datetime.datetime(2026, 11, 26, tzinfo=datetime.timezone.utc),
        request_id='req-1',
        user='root@cpu1',
    )


class JournalMachine(stateful.RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.logs = fixtures.FakeLogger()
        self.logs.setUp()
        self.home = tempfile.mkdtemp(dir=base.MEMORY_DISK)
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.disk_works = True
        self.model = {}
        self.is_damaged = False
        self.on_disk = {}
        self.lives = 0
        self.start()

    def teardown(self):
        self.mend()
        self.journal.close()
        shutil.rmtree(self.home)
        self.logs.cleanUp()

    def start(self):
        self.directory = os.path.join(self.home, str(self.lives))
        self.path = os.path.join(self.directory, base.NAME)
        self.journal = journal_lib.Journal(self.directory, base.HOST)
        self.journal.open()

    def mend(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)

    def limit(self):
        size = -1 if self.disk_works else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.limits[1]))

    def wrote(self):
        if self.disk_works:
            self.on_disk = dict(self.model)
            self.is_damaged = False

    @stateful.rule(name=names, reason=reasons)
    def put(self, name, reason):
        entry = base.make_entry(name, reason=reason)
        self.journal.put(entry)
        self.model[entry.migration_uuid] = entry
        self.wrote()

    @stateful.rule(name=names)
    def remove(self, name):
        uuid = base.make_entry(name).migration_uuid
        self.journal.remove(uuid)
        if self.model.pop(uuid, None):
            self.wrote()

    @stateful.rule(name=names, held=st.booleans())
    def change(self, name, held):
        uuid = base.make_entry(name).migration_uuid
        assert self.journal.change(uuid, held=held) == (uuid in self.model)
        if uuid in self.model:
            self.model[uuid] = copy.copy(self.model[uuid])
            self.model[uuid].held = held
            self.wrote()

    @stateful.rule(reason=reasons | st.none())
    def pause(self, reason):
        self.journal.pause = None if reason is None else make_pause(reason)
        if reason is None:
            self.model.pop(PAUSE, None)
        else:
            self.model[PAUSE] = reason
        self.wrote()

    @stateful.rule()
    def close_and_open(self):
        self.journal.close()
        self.journal.open()
        if self.is_damaged and self.disk_works:
            self.model = {}
            self.wrote()

    @stateful.rule(damaged=st.booleans())
    def kill(self, damaged):
        self.mend()
        self.lives += 1
        new = os.path.join(self.home, str(self.lives))
        shutil.copytree(self.directory, new)
        self.directory = new
        if damaged:
            self.damage()
        self.journal.close()
        self.limit()
        self.start()
        if damaged or self.is_damaged:
            self.on_disk = {}
            self.is_damaged = False
        self.model = dict(self.on_disk)

    @stateful.precondition(lambda self: self.disk_works)
    @stateful.rule()
    def damage(self):
        path = os.path.join(self.directory, base.NAME)
        if os.path.exists(path):
            with open(path, 'r+b') as file:
                file.write(bytes(200))
            self.is_damaged = True

    @stateful.precondition(lambda self: self.disk_works)
    @stateful.rule()
    def delete(self):
        shutil.rmtree(self.directory)
        self.journal.put(entry := base.make_entry('a'))
        self.model[entry.migration_uuid] = entry
        self.wrote()

    @stateful.rule()
    def the_disk_fails_or_works_again(self):
        self.disk_works = not self.disk_works
        self.limit()
        self.journal.put(entry := base.make_entry('b'))
        self.model[entry.migration_uuid] = entry
        self.wrote()

    @stateful.invariant()
    def agrees_with_the_model(self):
        pause = self.journal.pause
        entries = dict(self.model)
        assert entries.pop(PAUSE, None) == (pause and pause.reason)
        assert self.journal.entries() == [*entries.values()]
        for uuid, entry in entries.items():
            assert self.journal.get(uuid) == entry
        assert self.journal.durable == self.disk_works


JournalMachine.TestCase.settings = admission.settings(
    30, stateful_step_count=30
)
JournalTestCase = JournalMachine.TestCase
