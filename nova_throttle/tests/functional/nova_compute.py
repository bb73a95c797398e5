# SPDX-License-Identifier: Apache-2.0

"""Run nova-compute's own main() up to where it needs a cloud.

The program of test_activation, in a process of its own. It ends, with status
0, where nova-compute would begin to serve: with the manager and the driver
made. Only what waits for other services is left out.
"""

import os
import signal
import sys

from nova.cmd import compute  # first: it chooses the threading mode

from nova.conductor import api as conductor_api
from nova.scheduler.client import report
from nova import service
from nova import utils
from nova import version
from oslo_log import log as logging

LOG = logging.getLogger('nova.cmd.compute')


REPORTS = '--report' in sys.argv


def _take(option: str) -> str | None:
    """Take our own option out of the command line; return its value."""
    for argument in sys.argv[1:]:
        name, _, value = argument.partition('=')
        if name == option:
            sys.argv.remove(argument)
            return value
    return None


def _serve(server: service.Service, **kwargs: object) -> None:
    if REPORTS:
        # As an operator does: Nova's own handler writes the report to stderr.
        os.kill(os.getpid(), signal.SIGUSR2)
    manager, driver = type(server.manager), type(server.manager.driver)
    LOG.info('manager: %s.%s', manager.__module__, manager.__qualname__)
    LOG.info('driver: %s.%s', driver.__module__, driver.__qualname__)


def main() -> None:
    _take('--report')
    nova_version = _take('--nova-version')
    if nova_version:
        version.version_string = lambda: nova_version
    manager = _take('--manager')
    if manager:
        service.SERVICE_MANAGERS['nova-compute'] = manager
    conductor_api.API.wait_until_ready = lambda *args: None
    report.SchedulerReportClient._create_client = lambda self: None
    utils.raise_if_old_compute = lambda: None
    service.serve = _serve
    service.wait = lambda: None
    compute.main()


if __name__ == '__main__':
    main()
