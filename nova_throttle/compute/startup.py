# SPDX-License-Identifier: Apache-2.0

"""A host has one nova-compute: a second one ends before it does anything."""

import sys

from oslo_log import log as logging

from nova_throttle import exception
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)


def open_journal(journal: journal_lib.Journal) -> None:
    """Open the journal of this host, or end the process.

    :raises SystemExit: if another nova-compute has it.
    """
    try:
        journal.open()
    except exception.JournalLocked as error:
        LOG.critical('nova-throttle: %s; nova-compute stops', error)
        sys.exit(1)
