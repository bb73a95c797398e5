# SPDX-License-Identifier: Apache-2.0

import contextlib
import socket
import threading
import urllib.request

import prometheus_client
import testtools

from nova_throttle import activation
from nova_throttle.metrics import server as server_lib

PATIENCE = 60


class ServerTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.registry = prometheus_client.CollectorRegistry()
        gauge = prometheus_client.Gauge('a', 'b', registry=self.registry)
        gauge.set(7)

    def serve(self, host='127.0.0.1', port=0):
        server = server_lib.Server(host, port, self.registry)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(server.stop)
        return server, thread

    def read(self, server, host='127.0.0.1'):
        url = f'http://{host}:{server.address[1]}/metrics'
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def test_it_serves_over_both_protocols(self):
        server, _ = self.serve()
        self.assertIn('a 7.0', self.read(server))
        for host in '::1', '::':
            server, _ = self.serve(host)
            self.assertIn('a 7.0', self.read(server, '[::1]'))

    def test_it_ends_when_it_is_stopped(self):
        server, thread = self.serve()
        self.read(server)
        server.stop()
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())
        server.stop()

    def test_another_can_follow_at_once(self):
        server, thread = self.serve()
        self.read(server)
        server.stop()
        thread.join(PATIENCE)
        server, _ = self.serve(port=server.address[1])
        self.assertIn('a 7.0', self.read(server))

    def test_one_that_is_stopped_before_it_begins(self):
        server = server_lib.Server('127.0.0.1', 0, self.registry)
        server.stop()
        server.serve()
        server.stop()

    def test_a_client_that_says_nothing_keeps_nobody(self):
        server, _ = self.serve()
        with contextlib.closing(socket.create_connection(server.address)):
            self.assertIn('a 7.0', self.read(server))

    def test_an_address_that_cannot_be_had(self):
        server, _ = self.serve()
        for host, port, reason in (
            ('127.0.0.1', server.address[1], 'already in use'),
            ('192.0.2.1', 0, 'assign requested address'),
            ('not..a.name', 0, ''),
        ):
            error = self.assertRaises(
                activation.MetricsNotBound,
                *(server_lib.Server, host, port, self.registry),
            )
            self.assertIn(f'metrics_bind: cannot listen at {host}', str(error))
            self.assertIn(reason, str(error))
