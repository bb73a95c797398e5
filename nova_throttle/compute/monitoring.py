# SPDX-License-Identifier: Apache-2.0

"""What can be seen of one host from outside: its metrics, and who serves them.

They are kept in any case, because an operator may ask for them over the bus.
"""

import importlib.util

import nova.conf
from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import compat
from nova_throttle import exception
from nova_throttle import version

if importlib.util.find_spec('prometheus_client') is not None:
    from nova_throttle.metrics import collector as collector_lib
    from nova_throttle.metrics import course as course_lib
    from nova_throttle.metrics import server as server_lib

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class Monitoring:
    """Keeps the metrics of one host, and serves them while it runs.

    :param parts: the parts of the host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._collector: collector_lib.Collector | None = None
        self._server: server_lib.Server | None = None
        if importlib.util.find_spec('prometheus_client') is not None:
            self._collector = _make_collector(parts)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the metrics are served; None if they are not."""
        return None if self._server is None else self._server.address

    def text(self) -> str:
        """Return the metrics in Prometheus' text format.

        :raises NoMetrics: if there are none here.
        """
        return self._known().text()

    def start(self) -> None:
        """Serve the metrics if that is wanted, and not done yet.

        :raises ActivationError: if that is not possible.
        """
        where = CONF.nova_throttle.metrics_bind
        if where is None or self._server is not None:
            return
        self._server = server_lib.Server(
            where.host, where.port, self._known().registry
        )
        compat.spawn_n(
            nova_context.get_admin_context(), 'metrics', self._server.serve
        )
        LOG.info('Metrics are served at %s:%s', *self._server.address)

    def stop(self) -> None:
        """Serve them no more; twice is harmless."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def _known(self) -> 'collector_lib.Collector':
        if self._collector is None:
            raise exception.NoMetrics()
        return self._collector


def _make_collector(
    parts: assembly_lib.Assembly,
) -> 'collector_lib.Collector':
    course = course_lib.Course()
    parts.events.listen(course.note)
    return collector_lib.Collector(
        parts.manager.host,
        {'version': version.installed(), 'nova': compat.nova_version()},
        parts.throttle.snapshot,
        lambda: parts.journal.durable,
        course,
    )
