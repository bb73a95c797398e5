# SPDX-License-Identifier: Apache-2.0

"""Test fixtures for anybody's Nova functional tests.

ThrottleFixture turns the product on exactly as the entry point does, for one
test, and leaves nothing behind.
"""

import threading
from typing import Any

import fixtures
from nova import conf as nova_conf

from nova_throttle.compute import compat
from nova_throttle import conf as throttle_conf
from nova_throttle import overrides
from nova_throttle import plugin

# Seconds that threads of ours may take to end after the services stopped.
JOIN_TIMEOUT = 90


class ThrottleFixture(fixtures.Fixture):
    """Run Nova's services with nova-throttle during one test.

        self.useFixture(ThrottleFixture())
        self.start_compute('host1')
        self.computes['host1'].manager.throttle.snapshot()

    Use it before a compute service is started.

    :param options: values for options of [nova_throttle]; ``enabled`` is
        true unless said otherwise.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = {'enabled': True, **options}

    def _setUp(self) -> None:
        conf = nova_conf.CONF
        throttle_conf.register_opts(conf)
        options = dict(self._options)
        if 'journal_dir' not in options:
            options['journal_dir'] = self.useFixture(fixtures.TempDir()).path
        for name, value in options.items():
            conf.set_override(name, value, 'nova_throttle')
            self.addCleanup(conf.clear_override, name, 'nova_throttle')
        self._threads_before = set(self._threads())
        # Cleanups run backwards: the services, which were started after
        # us, are down by then.
        self.addCleanup(self._join_threads)
        self.addCleanup(overrides.uninstall)
        plugin.activate(conf)

    @staticmethod
    def _threads() -> list[threading.Thread]:
        return [
            thread
            for thread in threading.enumerate()
            if thread.name.startswith(compat.THREAD_PREFIX)
        ]

    def _join_threads(self) -> None:
        for thread in set(self._threads()) - self._threads_before:
            thread.join(JOIN_TIMEOUT)
            if thread.is_alive():
                raise AssertionError(f'{thread.name} is left running')
