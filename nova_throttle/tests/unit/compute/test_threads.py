# SPDX-License-Identifier: Apache-2.0

"""Each thread ends when it has to, and there is one of each.

Every step is an event: nothing here depends on how fast a machine is.
"""

import queue
import threading
import types

import fixtures
from nova import context as nova_context
from oslo_utils import uuidutils
import testtools

from nova_throttle.compute import compat
from nova_throttle.compute import threads

# Seconds until a step that does not come fails the test.
PATIENCE = 60

# An interval that does not pass; and one that does at once, and lets others
# run where threads are green.
NEVER = 10**6
SHORT = 0.001


class ThreadTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.before = set(threading.enumerate())
        # What the work of a thread lets the test know.
        self.seen = queue.Queue()

    def next(self):
        """Return what comes next from a thread."""
        return self.seen.get(timeout=PATIENCE)

    def alive(self):
        """Return the threads that the test has."""
        return [t for t in threading.enumerate() if t not in self.before]

    def assert_ended(self):
        for thread in self.alive():
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive(), thread)


class Blocked:
    """Work that says when it begins, and goes on when it may."""

    def __init__(self, seen):
        self._seen = seen
        self._go = threading.Semaphore(0)
        self.inside = 0
        self.most = 0

    def __call__(self, context=None):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self._seen.put('begins')
        if not self._go.acquire(timeout=PATIENCE):
            raise AssertionError('the test forgot a run')
        self.inside -= 1

    def go(self):
        self._go.release()


class PeriodicTaskTestCase(ThreadTestCase):
    def make(self, work, interval=NEVER):
        task = threads.PeriodicTask('a-task', work)
        self.addCleanup(self.assert_ended)
        self.addCleanup(task.stop)
        task.start(interval)
        return task

    def test_it_runs_at_once_and_again(self):
        self.make(lambda context: self.seen.put(context), interval=SHORT)
        self.assertTrue(self.next().is_admin)
        self.next()

    def test_its_thread_has_its_name(self):
        self.make(
            lambda context: self.seen.put(threading.current_thread().name)
        )
        self.assertEqual(compat.thread_name('a-task'), self.next())

    def test_stopped_and_started_during_a_run_it_has_one_thread(self):
        work = Blocked(self.seen)
        task = self.make(work)
        self.assertEqual('begins', self.next())
        task.stop()
        task.start(NEVER)
        work.go()
        # Of the second start, in the thread of the first.
        self.assertEqual('begins', self.next())
        self.assertEqual(1, len(self.alive()))
        self.assertEqual(1, work.most)
        task.stop()
        work.go()
        self.assert_ended()

    def test_however_often(self):
        work = Blocked(self.seen)
        task = self.make(work)
        self.assertEqual('begins', self.next())
        for _ in range(3):
            task.stop()
            task.start(NEVER)
        task.start(NEVER)
        work.go()
        self.assertEqual('begins', self.next())
        self.assertEqual(1, len(self.alive()))
        task.stop()
        work.go()
        self.assertTrue(task.join(PATIENCE))
        self.assertEqual(1, work.most)
        self.assertTrue(self.seen.empty())

    def test_stopped_between_two_runs_it_starts_again(self):
        task = self.make(lambda context: self.seen.put('ran'))
        self.next()
        task.stop()
        self.assertTrue(task.join(PATIENCE))
        task.start(NEVER)
        self.assertEqual('ran', self.next())
        self.assertEqual(1, len(self.alive()))

    def test_a_stop_does_not_wait_for_what_hangs(self):
        work = Blocked(self.seen)
        task = self.make(work)
        self.next()
        task.stop()
        self.assertFalse(task.join(0.01))
        work.go()
        self.assertTrue(task.join(PATIENCE))

    def test_a_run_that_fails_is_run_again_and_logged_once(self):
        def fail(context):
            self.seen.put('ran')
            raise RuntimeError('the database is away')

        task = self.make(fail, interval=SHORT)
        for _ in range(3):
            self.next()
        task.stop()
        self.assertTrue(task.join(PATIENCE))
        output = self.log.output
        self.assertEqual(1, output.count('a-task of nova-throttle failed'))
        self.assertEqual(1, output.count('Traceback'))

    def test_a_trouble_that_comes_back_is_logged_again(self):
        results = iter([RuntimeError('a'), False, RuntimeError('b')])

        def work(context):
            result = next(results)
            if result:
                raise result

        task = threads.PeriodicTask('a-task', work)
        self.assertEqual([True, False, True], [task.run() for _ in range(3)])
        self.assertEqual(2, self.log.output.count('Traceback'))

    def test_one_that_asks_for_it_is_run_again_soon(self):
        self.patch(threads, 'SOON', SHORT)
        self.make(lambda context: self.seen.put('ran') or True)
        self.next()
        self.next()

    def test_one_that_failed_too(self):
        self.patch(threads, 'SOON', SHORT)

        def fail(context):
            self.seen.put('ran')
            raise RuntimeError

        self.make(fail)
        self.next()
        self.next()

    def test_it_is_started_again_if_no_thread_could_be_had(self):
        task = threads.PeriodicTask(
            'a-task', lambda context: self.seen.put('ran')
        )
        self.addCleanup(self.assert_ended)
        self.addCleanup(task.stop)
        with fixtures.MockPatchObject(
            compat, 'spawn_n', side_effect=RuntimeError
        ):
            self.assertRaises(RuntimeError, task.start, NEVER)
        task.start(NEVER)
        self.assertEqual('ran', self.next())


class BackgroundWorkerTestCase(ThreadTestCase):
    def setUp(self):
        super().setUp()
        self.worker = threads.BackgroundWorker('a-worker')
        self.addCleanup(self.assert_ended)
        self.addCleanup(self.worker.stop)

    def note(self):
        self.seen.put(threading.current_thread())

    def test_one_thing_after_the_other_on_one_thread(self):
        self.worker.start()
        self.worker.start()
        for number in range(3):
            self.worker.do(lambda number=number: self.seen.put(number))
        self.assertEqual([0, 1, 2], [self.next() for _ in range(3)])
        self.assertEqual(1, len(self.alive()))

    def test_a_stop_leaves_nothing_undone(self):
        self.worker.start()
        work = Blocked(self.seen)
        self.worker.do(work)
        self.assertEqual('begins', self.next())
        self.worker.do(self.note)
        self.worker.stop()
        work.go()
        self.assertNotEqual(threading.current_thread(), self.next())

    def test_without_its_thread_the_caller_does_it(self):
        for _ in range(2):
            self.worker.do(self.note)
            self.assertEqual(threading.current_thread(), self.next())
            self.worker.start()
            self.worker.stop()

    def test_what_fails_is_logged_and_the_next_is_done(self):
        self.worker.start()
        self.worker.do(lambda: 1 / 0)
        self.worker.do(self.note)
        self.next()
        self.assertIn('A task of nova-throttle failed', self.log.output)

    def test_stopped_and_started_it_ends_with_its_first_thread(self):
        self.worker.start()
        self.worker.stop()
        self.worker.start()
        self.worker.do(self.note)
        self.next()
        self.worker.stop()
        self.assert_ended()


class WorkersTestCase(ThreadTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.assert_ended)
        self.workers = threads.Workers(self.work)
        # What a migration does, by its migration.
        self.steps = {}

    def make(self, step):
        uuid = uuidutils.generate_uuid()
        self.steps[uuid] = step
        return types.SimpleNamespace(
            context=nova_context.get_admin_context(),
            record=types.SimpleNamespace(uuid=uuid),
        )

    def work(self, migration):
        thread = threading.current_thread()
        self.seen.put((migration, thread, thread.name))
        self.steps[migration.record.uuid]()

    def test_each_has_a_thread_with_its_name(self):
        a, b = self.make(bool), self.make(bool)
        for migration in (a, b):
            self.workers.start(migration)
            found, thread, name = self.next()
            self.assertIs(migration, found)
            self.assertEqual(compat.thread_name(migration.record.uuid), name)
            self.assertTrue(thread.daemon)

    def test_one_that_ends_takes_the_next_and_its_name(self):
        def end():
            with self.workers.ending():
                self.workers.start(b)

        a, b = self.make(end), self.make(bool)
        self.workers.start(a)
        _, first, _ = self.next()
        found, second, name = self.next()
        self.assertIs(b, found)
        self.assertIs(first, second)
        self.assertEqual(compat.thread_name(b.record.uuid), name)

    def test_it_takes_one_and_others_get_threads(self):
        def end():
            with self.workers.ending():
                self.workers.start(b)
                self.workers.start(c)

        a, b, c = self.make(end), self.make(bool), self.make(bool)
        self.workers.start(a)
        found = [self.next()[:2] for _ in range(3)]
        threads_of = {id(migration): thread for migration, thread in found}
        self.assertIs(threads_of[id(a)], threads_of[id(b)])
        self.assertIsNot(threads_of[id(a)], threads_of[id(c)])

    def test_before_it_ends_it_takes_none(self):
        b = self.make(bool)
        a = self.make(lambda: self.workers.start(b))
        self.workers.start(a)
        _, first, _ = self.next()
        _, second, _ = self.next()
        self.assertIsNot(first, second)

    def test_another_thread_takes_none(self):
        a = self.make(bool)
        with self.workers.ending():
            self.workers.start(a)
        self.assertIsNot(threading.current_thread(), self.next()[1])

    def test_work_that_fails_is_logged_and_the_next_is_done(self):
        def fail():
            with self.workers.ending():
                self.workers.start(b)
            raise RuntimeError('it fails')

        a, b = self.make(fail), self.make(bool)
        self.workers.start(a)
        self.next()
        self.assertIs(b, self.next()[0])
        self.assertIn('it fails', self.log.output)
