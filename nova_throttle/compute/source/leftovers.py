# SPDX-License-Identifier: Apache-2.0

"""Migrations of this host that Nova's records have and nobody works on.

They are in no journal: their request never reached this host, it was lost
with a disk, or this package was not installed when they began.
"""

from typing import Any

import nova.conf
from nova import objects
from oslo_log import log as logging
from oslo_utils import timeutils

from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import stored
from nova_throttle import exception
from nova_throttle.outcome import words

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# What a migration is that somebody will begin, or has begun to prepare.
_LEFT_OVER = ('accepted', 'queued', 'preparing')


class Leftovers:
    """Takes out what is in the database and in no journal.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._parts = parts

    def find(self, context: border.Context) -> None:
        """Take out what nobody works on any more."""
        if not self._parts.journal.durable:
            # Of one that was not read, nobody knows what it has.
            return
        for record in self._records(context):
            if not self._parts.knows(record.uuid):
                # Read again: it may have ended since the list was made.
                self._repair(
                    context,
                    objects.Migration.get_by_uuid(context, record.uuid),
                )

    def will_deal_with(
        self, context: border.Context, instance: border.Instance
    ) -> bool:
        """Tell whether a server that migrates is left to this.

        The conductor may have its request still: Nova would put the server
        to rest at the start of this host, under a migration that is about
        to begin.
        """
        if not self._parts.journal.durable:
            return False
        return bool(CONF.nova_throttle.repair_leftovers) and bool(
            self._records(context, instance_uuid=instance.uuid)
        )

    def _records(self, context: border.Context, **more: str) -> Any:
        """Read the migrations of this host that have not begun.

        :param more: what else they have to be.
        """
        return objects.MigrationList.get_by_filters(
            context,
            {
                'source_compute': self._parts.manager.host,
                'migration_type': words.LIVE,
                'status': list(_LEFT_OVER),
                **more,
            },
        )

    def _repair(
        self, context: border.Context, record: border.MigrationRecord
    ) -> None:
        if record.status not in _LEFT_OVER or _may_be_with_conductor(record):
            return
        error = exception.LeftOver(
            migration_uuid=record.uuid, status=record.status
        )
        if not CONF.nova_throttle.repair_leftovers:
            LOG.warning(
                '%s; it stays because [nova_throttle] repair_leftovers is '
                'false',
                error,
                instance_uuid=record.instance_uuid,
            )
            return
        take_out(self._parts, context, record, 'error', error)


def take_out(
    parts: assembly_lib.Assembly,
    context: border.Context,
    record: border.MigrationRecord,
    status: str,
    error: BaseException,
) -> None:
    """Have a migration that nobody works on give back what it holds.

    :param status: its final status.
    :param error: why it ends.
    """
    migration = parts.make_migration(
        context,
        # The conductor may have died before it chose one.
        record.dest_compute or '',
        stored.instance(context, record.instance_uuid),
        None,
        record,
        None,
    )
    migration.error = error
    # Whoever gave it up has left one, if anybody did.
    migration.has_fault = True
    parts.cleanup.begin(migration, status, error)
    parts.completion.tell(migration)


def _may_be_with_conductor(record: border.MigrationRecord) -> bool:
    """Tell whether the conductor may still work on a request.

    It makes calls that take up to long_rpc_timeout before it hands the
    request to this host.
    """
    return record.status == 'accepted' and not timeutils.is_older_than(
        record.updated_at or record.created_at, CONF.long_rpc_timeout
    )
