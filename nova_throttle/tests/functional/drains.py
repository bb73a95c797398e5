# SPDX-License-Identifier: Apache-2.0

"""Commands that need Nova's API, on the API of the tests' own Nova.

It is served over HTTP on this machine, so that openstacksdk reads OS_* as
ever, in this process and in others. There is no keystone: nobody asks who
calls, and who does is the administrator.
"""

import io
import os
import signal
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
        self._err = io.StringIO()
        self._words = words
        self._thread = test.in_background(self._run)

    def _run(self):
        self.result = shell_lib.run(*self._words, err=self._err)

    @property
    def err(self):
        """What it has written to stderr so far."""
        return self._err.getvalue()

    def wait(self):
        self._thread.join(base.PATIENCE)
        assert self.result is not None, 'the command does not end'
        return self.result


class DrainTestCase(base.ThrottleTestCase):
    """The shell runs in this process and talks to Nova over HTTP."""

    # The API does not wait for what it has asked for.
    CAST_AS_CALL = False

    def setUp(self):
        super().setUp()
        self.port = 0
        self.serve()
        self.addCleanup(self.stop_serving)
        self._point_to_it()
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

    def serve(self):
        """Serve the API, at the same place as before."""
        self.server = simple_server.make_server(
            *('127.0.0.1', self.port, self.api_fixture.app()),
            server_class=_Server,
            handler_class=_Handler,
        )
        self.port = self.server.server_port
        self._thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def stop_serving(self):
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(base.PATIENCE)

    def _point_to_it(self):
        url = f'http://127.0.0.1:{self.port}/v2.1'
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
            # Who runs the tests in the background has it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
