# SPDX-License-Identifier: Apache-2.0

"""Commands that need Nova's API, on the API of the tests' own Nova.

It is served over HTTP on this machine, so that openstacksdk reads OS_* as
ever, in this process and in others. There is no keystone: nobody asks who
calls, and who does is the administrator.
"""

import os
import socketserver
import subprocess
import sys
import threading
from wsgiref import simple_server

import fixtures
from nova import context as nova_context
from oslo_serialization import jsonutils

from nova_throttle.tests.functional import base
from nova_throttle.tests import shell as shell_lib


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        """Say nothing on stderr."""


class Drained:
    """A command that runs while the test goes on."""

    def __init__(self, test, words):
        self.result = None
        self._words = words
        self._thread = test.in_background(self._run)

    def _run(self):
        self.result = shell_lib.run(*self._words)

    def wait(self):
        self._thread.join(base.PATIENCE)
        assert self.result is not None, 'the command does not end'
        return self.result


class DrainTestCase(base.ThrottleTestCase):
    """The shell runs in this process and talks to Nova over HTTP."""

    def setUp(self):
        super().setUp()
        self._serve()
        # Nova's fixture of the API wants headers that only its client sends.
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.api.auth.NovaKeystoneContext._create_context',
                self._context,
            )
        )

    @staticmethod
    def _context(env, **kwargs):
        return nova_context.RequestContext(
            env.get('HTTP_X_AUTH_USER', 'admin'),
            env.get('HTTP_X_AUTH_PROJECT_ID', 'admin'),
            is_admin=True,
            roles=['reader', 'member', 'admin'],
            **kwargs,
        )

    def _serve(self):
        app = self.api_fixture.app()
        self.server = simple_server.make_server(
            '127.0.0.1', 0, app, server_class=_Server, handler_class=_Handler
        )
        thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True
        )
        thread.start()
        self.addCleanup(thread.join, base.PATIENCE)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        url = f'http://127.0.0.1:{self.server.server_port}/v2.1'
        for name in list(os.environ):
            if name.startswith('OS_') and not name.startswith('OS_NOVA'):
                self.useFixture(fixtures.EnvironmentVariable(name))
        for name, value in {
            'OS_AUTH_TYPE': 'none',
            'OS_ENDPOINT': url,
            'OS_COMPUTE_ENDPOINT_OVERRIDE': url,
        }.items():
            self.useFixture(fixtures.EnvironmentVariable(name, value))

    def drain(self, *words, status=0):
        """Run a command that ends so; return its rows."""
        words = ('drain', *words, '-f', 'json')
        result = shell_lib.run(*words)
        self.assertEqual(status, result.status, result)
        return jsonutils.loads(result.out)

    def start(self, *words):
        """Begin to drain src, and look often."""
        return Drained(
            self,
            (
                *('drain', 'start', 'src', '--wait', '--interval', '0.1s'),
                *(*words, '-f', 'json'),
            ),
        )

    def rows(self, drained, status):
        """Return what a command that ends so has listed."""
        result = drained.wait()
        self.assertEqual(status, result.status, result)
        return jsonutils.loads(result.out)

    def spawn(self, *words):
        """Run the program in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova_throttle.cmd.cli', *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def service(self, host='src'):
        services = self.api.get_services(host=host, binary='nova-compute')
        return services[0]

    def host_of(self, server):
        return self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
