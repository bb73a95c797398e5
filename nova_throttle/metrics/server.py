# SPDX-License-Identifier: Apache-2.0

"""Serves the metrics of one host over HTTP, while its service runs.

It waits in accept(), which is a green wait where threads are green ones; what
socketserver waits with may have been chosen before they became so. No thread
of it keeps the process from ending.
"""

import contextlib
import socket
import socketserver
import threading
from typing import Any

import prometheus_client

from nova_throttle import activation

# Seconds that a client may keep a connection and say nothing.
PATIENCE = 10

# Seconds until it is tried again after a connection that can't be had, as
# when there are too many open files.
PAUSE = 1.0


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class Server:
    """An HTTP server of what a registry collects.

    It is bound once it is made; closed for good once it is stopped.

        server = Server('127.0.0.1', 9979, registry)
        threading.Thread(target=server.serve, daemon=True).start()
        server.stop()

    :param host: where it listens: a name or an address, of IPv4 or IPv6.
    :param port: 0 takes one that is free.
    :raises MetricsNotBound: if it can't listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: prometheus_client.CollectorRegistry,
    ) -> None:
        handler = prometheus_client.MetricsHandler.factory(registry)
        handler.timeout = PATIENCE  # type: ignore[attr-defined]
        self._stopped = threading.Event()
        try:
            self._server = _listen(host, port, handler)
        except (OSError, UnicodeError) as error:
            raise activation.MetricsNotBound(
                address=f'{host}:{port}',
                reason=getattr(error, 'strerror', None) or error,
            ) from error

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port, *_ = self._server.server_address
        return str(host), int(port)

    def serve(self) -> None:
        """Serve until it is stopped."""
        while not self._stopped.is_set():
            try:
                request, address = self._server.get_request()
            except OSError:
                self._stopped.wait(PAUSE)
                continue
            try:
                self._server.process_request(request, address)
            except Exception:
                # No thread could be had for it.
                self._server.shutdown_request(request)
        self._server.server_close()

    def stop(self) -> None:
        """Have it end, at an address that is free; twice is harmless."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            # Whoever waits in accept() wakes up. Closing it here could keep
            # a green thread from that: it is closed there.
            self._server.socket.shutdown(socket.SHUT_RDWR)


def _listen(host: str, port: int, handler: Any) -> _Server:
    """Listen at the first address of a name.

    :raises OSError: if that is not possible.
    """
    # By position: eventlet's own takes other names.
    family, *_, address = socket.getaddrinfo(
        host, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
    )[0]
    server: type[_Server] = type(
        '_Server', (_Server,), {'address_family': family}
    )
    return server((str(address[0]), port), handler)
