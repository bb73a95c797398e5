# SPDX-License-Identifier: Apache-2.0

import threading

import fixtures
import testtools

from nova_throttle.virt.libvirt import observer as observer_lib
from nova_throttle.virt.libvirt import operation as operation_lib

PATIENCE = 60


class ObserverTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.virt.libvirt.observer.AGAIN_FIRST', 0.001
            )
        )
        self.operation = operation_lib.Operation('instance')
        self.calls = []
        self.unwatched = []
        self.observer = observer_lib.Observer(
            self.operation,
            lambda *args: self.calls.append(('post', *args)),
            lambda *args, **kwargs: self.calls.append(
                ('recover', *args, kwargs)
            ),
            lambda: self.unwatched.append(1),
        )

    def end(self):
        self.observer.end('context', 'instance', 'dest', False, 'data')

    def run_operation(self, error=None):
        def call():
            if error:
                raise error

        self.operation.run(call)

    def fail(self):
        raise RuntimeError('no conductor')

    def test_what_the_monitor_says_is_handed_on(self):
        self.run_operation()
        self.observer.watch(lambda: self.observer.post(1), self.end)
        self.assertEqual([('post', 1)], self.calls)
        self.assertEqual([], self.unwatched)

    def test_it_is_watched_again_while_the_call_goes_on(self):
        times = []

        def monitor():
            times.append(1)
            if len(times) < 4:
                self.fail()
            self.run_operation()
            self.observer.post()

        self.observer.watch(monitor, self.end)
        self.assertEqual(4, len(times))
        self.assertEqual(3, len(self.unwatched))
        self.assertEqual([('post',)], self.calls)

    def test_a_call_that_succeeded_unwatched_has_arrived(self):
        self.run_operation()
        self.observer.watch(self.fail, self.end)
        self.assertEqual(
            [('post', 'context', 'instance', 'dest', False, 'data')],
            self.calls,
        )

    def test_one_that_failed_unwatched_is_rolled_back(self):
        self.run_operation(RuntimeError('refused'))
        self.observer.watch(self.fail, self.end)
        self.assertEqual(
            [('recover', 'context', 'instance', 'dest', 'data', {})],
            self.calls,
        )

    def test_an_abort_is_told_apart_from_a_failure(self):
        self.operation.abort_requested = True
        self.run_operation()
        self.observer.watch(self.fail, self.end)
        self.assertEqual({'migration_status': 'cancelled'}, self.calls[0][-1])

    def test_a_callback_that_fails_is_not_called_again(self):
        def monitor():
            self.observer.post()
            self.fail()

        self.run_operation()
        self.assertRaises(RuntimeError, self.observer.watch, monitor, self.end)
        self.assertEqual([('post',)], self.calls)

    def test_a_call_that_was_never_made_is_rolled_back(self):
        """has_succeeded() waited for ever for one that was cancelled."""
        self.operation.join()
        thread = threading.Thread(target=self.end, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())
        self.assertEqual('recover', self.calls[0][0])
