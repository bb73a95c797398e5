# SPDX-License-Identifier: Apache-2.0

"""Which release this is, and what it lacks, is found and said."""

import logging
import os
import threading
import types

import fixtures
from nova.compute import rpcapi
from nova import context as nova_context
from nova import version
from oslo_context import context as oslo_context
import testtools

from nova_throttle import activation
from nova_throttle.compute import compat


class ReleaseTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))

    def pretend(self, found):
        self.patch(version, 'version_string', lambda: found)

    def test_each_tested_release(self):
        for major in range(26, 35):
            self.pretend(f'{major}.1.2')
            compat.check_nova(allow_untested=False)
        self.assertEqual('', self.log.output)

    def test_this_one(self):
        compat.check_nova(allow_untested=False)

    def test_others_are_refused_with_one_clear_line(self):
        for found in ('25.9.9', '35.0.0', '35.0.0.0rc1', '99.1'):
            self.pretend(found)
            error = self.assertRaises(
                activation.UntestedNova, compat.check_nova, False
            )
            self.assertEqual(
                f'Nova {found} is not supported (supported: 26, 27, 28, 29, '
                '30, 31, 32, 33, 34); set [nova_throttle] '
                'allow_untested_nova = true to try it anyway',
                str(error),
            )

    def test_another_may_be_allowed(self):
        self.pretend('35.0.0')
        compat.check_nova(allow_untested=True)
        (line,) = self.log.output.splitlines()
        self.assertIn('never tested with Nova 35.0.0', line)


class ModeTestCase(testtools.TestCase):
    def test_it_is_what_the_tests_were_started_with(self):
        native = os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] == '1'
        self.assertEqual(
            'native threads' if native else 'eventlet', compat.mode()
        )


class AsNovaHasItTestCase(testtools.TestCase):
    class Novas:
        def init_host(self):
            pass

        def reset(self):
            pass

        reset._skip_automatic_rpc_tracking = True

    def setUp(self):
        super().setUp()

        @compat.as_nova_has_it
        class Ours(self.Novas):
            limit = 1

            def init_host(self):
                return 'ours'

            def reset(self):
                return 'ours'

            def graceful_shutdown(self):
                pass

            def _helper(self):
                return 'ours'

            @property
            def throttle(self):
                return 'ours'

        self.ours = Ours()

    def test_no_method_is_added(self):
        self.assertFalse(hasattr(self.ours, 'graceful_shutdown'))

    def test_all_else_stays(self):
        ours = self.ours
        self.assertEqual(
            ['ours'] * 4,
            [ours.init_host(), ours.reset(), ours._helper(), ours.throttle],
        )
        self.assertEqual(1, ours.limit)

    def test_novas_mark(self):
        name = '_skip_automatic_rpc_tracking'
        self.assertTrue(getattr(self.ours.reset, name))
        self.assertFalse(hasattr(self.ours.init_host, name))


class SpawnTestCase(testtools.TestCase):
    def test_on_a_thread_of_its_own_under_the_context(self):
        mine = nova_context.get_admin_context()
        found = []
        done = threading.Event()

        def work(value):
            found.append((value, oslo_context.get_current()))
            found.append(threading.current_thread().name)
            done.set()

        thread = compat.spawn_n(mine, 'test', work, 1)
        self.assertTrue(done.wait(30))
        self.assertEqual([(1, mine), 'nova-throttle-test'], found)
        self.assertTrue(thread.daemon)


class Client:
    """Notes what an RPC client is asked for."""

    def can_send_version(self, version):
        return True

    def prepare(self, **target):
        self.target = target
        return self

    def call(self, context, method, **arguments):
        self.called = (method, arguments)


class API(rpcapi.ComputeAPI):
    """This release's, for one client and without a message bus."""

    router = None

    def __init__(self, client):
        self.router = types.SimpleNamespace(client=lambda context: client)


class RollbackAtDestinationTestCase(testtools.TestCase):
    def test_it_is_waited_for_at_the_server_that_stops_last(self):
        """With this release's own choice of topic and version."""
        client = Client()
        compat.rollback_at_destination(
            types.SimpleNamespace(compute_rpcapi=API(client)),
            'a context',
            'an instance',
            'dest',
            True,
            'some data',
        )
        self.assertEqual(
            (
                'rollback_live_migration_at_destination',
                {
                    'instance': 'an instance',
                    'destroy_disks': True,
                    'migrate_data': 'some data',
                },
            ),
            client.called,
        )
        self.assertEqual('dest', client.target['server'])
        has_two = hasattr(rpcapi.ComputeAPI, 'prepare_for_alt_rpcserver')
        self.assertEqual(has_two, 'topic' in client.target)
