# SPDX-License-Identifier: Apache-2.0

"""What ends the start of a nova-compute, and what must not.

A host has one nova-compute: a second one ends before it does anything.
"""

from collections.abc import Iterator
import contextlib
import sys

from nova import exception as nova_exception
from oslo_log import log as logging

from nova_throttle import activation
from nova_throttle.compute import border
from nova_throttle.compute import monitoring as monitoring_lib
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)


def begin(
    journal: journal_lib.Journal, monitoring: monitoring_lib.Monitoring
) -> None:
    """Have what this host needs to itself, or end the process.

    Here, in the main thread, that is possible in either mode.

    :param journal: its queue on disk.
    :param monitoring: its metrics, which listen at an address.
    :raises SystemExit: if somebody else has it.
    """
    try:
        journal.open()
        monitoring.bind()
    except activation.ActivationError as error:
        LOG.critical('nova-throttle: %s; nova-compute stops', error)
        sys.exit(1)


@contextlib.contextmanager
def resetting(instance: border.Instance) -> Iterator[None]:
    """Let a server be put to rest which somebody has put to rest meanwhile.

    The conductor may end its migration at the same time. Nova's start ends
    with the conflict.
    """
    try:
        yield
    except (
        nova_exception.InstanceUpdateConflict,
        nova_exception.InstanceNotFound,
    ) as error:
        LOG.info('Nothing is left to reset: %s', error, instance=instance)
