# SPDX-License-Identifier: Apache-2.0

"""A method that waits where it is called until the test goes on."""

import threading

import fixtures


class Paused(fixtures.Fixture):
    """Pauses a method of an object.

    :param target: the object.
    :param name: its method.
    :param patience: seconds until it goes on without the test.
    :param side_effect: what is called then instead of the method.
    """

    def __init__(self, target, name, patience, side_effect=None):
        super().__init__()
        self._target = target
        self._name = name
        self._patience = patience
        self._then = side_effect or getattr(target, name)
        # Set when the method is called; to be set by the test.
        self.started = threading.Event()
        self.proceed = threading.Event()

    def _setUp(self):
        before = getattr(self._target, self._name)
        self.addCleanup(setattr, self._target, self._name, before)
        setattr(self._target, self._name, self._call)
        self.addCleanup(self.proceed.set)

    def _call(self, *args, **kwargs):
        self.started.set()
        self.proceed.wait(self._patience)
        return self._then(*args, **kwargs)
