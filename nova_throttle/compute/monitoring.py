# SPDX-License-Identifier: Apache-2.0

"""What can be seen of one host from outside, and who tells it.

Metrics are kept in any case: an operator may ask for them over the bus.
"""

import importlib.util

import nova.conf
from nova import context as nova_context
from oslo_log import log as logging

from nova_throttle import activation
from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute.destination import downtime
from nova_throttle.compute import notifications
from nova_throttle.compute import report
from nova_throttle import version

if importlib.util.find_spec('prometheus_client') is not None:
    from nova_throttle.metrics import collector as collector_lib
    from nova_throttle.metrics import course as course_lib
    from nova_throttle.metrics import server as server_lib

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class Monitoring:
    """Has the metrics, the report and the notifications of one host.

    :param parts: the parts of the host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._collector: collector_lib.Collector | None = None
        self._server: server_lib.Server | None = None
        if importlib.util.find_spec('prometheus_client') is not None:
            self._collector = _make_collector(parts)
        self._driver = parts.manager.driver
        self._notifications = notifications.Notifications(parts)
        report.register(parts)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the metrics are served; None if they are not."""
        return None if self._server is None else self._server.address

    def text(self) -> str:
        """Return the metrics in Prometheus' text format.

        :raises NoMetrics: if there are none here.
        """
        return self._known().text()

    def observe_arrival(self, instance: border.Instance) -> None:
        """See how a guest has come to this host."""
        if self._collector is not None:
            downtime.observe(
                self._driver, instance, self._collector.course.note_downtime
            )

    def bind(self) -> None:
        """Have the address of the metrics, if they are wanted at one.

        :raises ActivationError: if that is not possible.
        """
        where = CONF.nova_throttle.metrics_bind
        if where is None or self._server is not None:
            return
        self._server = server_lib.Server(
            where.host, where.port, self._known().registry
        )
        LOG.info('Metrics are served at %s:%s', *self._server.address)

    def start(self) -> None:
        """Tell whoever wants to know, from now on."""
        self._notifications.start()
        if self._server is not None:
            compat.spawn_n(
                nova_context.get_admin_context(), 'metrics', self._server.serve
            )

    def stop(self) -> None:
        """Tell nothing more; twice is harmless."""
        self._notifications.stop()
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def _known(self) -> 'collector_lib.Collector':
        if self._collector is None:
            raise activation.NoMetrics()
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
        lambda: parts.throttle.paused,
        course,
    )
