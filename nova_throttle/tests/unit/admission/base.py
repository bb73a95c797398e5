# SPDX-License-Identifier: Apache-2.0

"""What the tests of the admission core share.

They use no sleep and no duration: a test waits for a state, and PATIENCE
only bounds how long a broken core can keep it.
"""

from concurrent import futures
import os
import sys
import threading
import traceback

import hypothesis
import testtools

from nova_throttle.admission import controller
from nova_throttle.admission import request as request_lib

PATIENCE = 60

# The only stage of most tests.
STAGE = 'in progress'

# OS_ is what tox passes on.
_EXAMPLES = {'ci': 1, 'thorough': 50}[
    os.environ.get('OS_HYPOTHESIS_PROFILE', 'ci')
]


def settings(max_examples, **others):
    """Return settings for a property: the same examples in every CI run.

    With OS_HYPOTHESIS_PROFILE=thorough there are many more, and others in
    each run.
    """
    return hypothesis.settings(
        max_examples=max_examples * _EXAMPLES,
        derandomize=_EXAMPLES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        **others,
    )


def make_request(name, *gates, priority=0, ticket=None):
    """Return a request that needs these gates."""
    return request_lib.Request(
        migration_uuid=name,
        instance_uuid=f'instance of {name}',
        destination='elsewhere',
        needs=(request_lib.Needs(gates),),
        priority=priority,
        ticket=ticket or futures.Future(),
    )


class CoreTestCase(testtools.TestCase):
    """A controller whose start only takes notes.

    ``self.started`` has the names of what it started, in order; a test
    that wants more to happen then puts a function of the request into
    ``self.on_start``, by its name.
    """

    def setUp(self):
        super().setUp()
        self.started = []
        self.on_start = {}

    def make_controller(self, patience=8, **gates):
        self.throttle = controller.Controller(
            {STAGE: gates}, self._start, patience=patience
        )
        return self.throttle

    def _start(self, grant):
        request = grant.request
        self.started.append(request.migration_uuid)
        self.on_start.get(request.migration_uuid, bool)(request)

    def submit(self, name, *gates, priority=0, ticket=None):
        request = make_request(name, *gates, priority=priority, ticket=ticket)
        self.throttle.submit(request)
        return request

    def owners(self, gate):
        return self.throttle.snapshot().gates[gate].owners

    def queued(self):
        return [w.migration_uuid for w in self.throttle.waiting()]

    def assert_idle(self):
        """Nobody owns a slot, nobody waits."""
        snapshot = self.throttle.snapshot()
        owners = {g.name: g.owners for g in snapshot.gates.values()}
        self.assertEqual(dict.fromkeys(owners, ()), owners)
        self.assertEqual((), snapshot.queue)


class Crew:
    """Threads that must all end; their errors are the test's."""

    def __init__(self, test):
        self._test = test
        self._threads = []
        self._errors = []

    def start(self, function, *args):
        thread = threading.Thread(
            target=self._run, args=(function, args), daemon=True
        )
        thread.name = function.__name__
        self._threads.append(thread)
        thread.start()

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                self._test.fail(f'{thread.name} hangs\n{_stacks()}')
        self._test.assertEqual([], self._errors)

    def _run(self, function, args):
        try:
            function(*args)
        except BaseException:
            self._errors.append(traceback.format_exc())


def _stacks():
    names = {t.ident: t.name for t in threading.enumerate()}
    return '\n'.join(
        f'{names.get(ident)}:\n' + ''.join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()
    )
