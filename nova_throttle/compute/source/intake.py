# SPDX-License-Identifier: Apache-2.0

"""From the request to the queue.

Every accepted request is in the journal before the caller is answered.
"""

from collections.abc import Callable
import dataclasses

from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.compute import border
from nova_throttle.compute.source import cleanup as cleanup_lib
from nova_throttle.compute.source import deferral as deferral_lib
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import event
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import priority
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import succession as succession_lib
from nova_throttle.compute.source import tickets
from nova_throttle.compute.source import wait_events as wait_events_lib
from nova_throttle import exception
from nova_throttle import journal as journal_lib

LOG = logging.getLogger(__name__)


class Intake:
    """Takes the requests of one host.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param succession: tells which migration has a server.
    :param cleanup: what undoes a migration of before.
    :param deferral: what has met a fault that may pass.
    :param wait_events: reports what they wait for.
    :param take_out: takes a migration out for good: with it, the final
        status and the reason.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        succession: succession_lib.Succession,
        cleanup: cleanup_lib.Cleanup,
        deferral: deferral_lib.Deferral,
        wait_events: wait_events_lib.WaitEvents,
        take_out: Callable[
            [migration_lib.LiveMigration, str, BaseException], None
        ],
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._journal = journal
        self._throttle = throttle
        self._succession = succession
        self._cleanup = cleanup
        self._deferral = deferral
        self._wait_events = wait_events
        self._take_out = take_out

    def accept(self, migration: migration_lib.LiveMigration) -> None:
        """Accept a request, or have it leave with nothing held."""
        try:
            self._migrations.add(migration)
        except exception.DuplicateRequest as error:
            # A message that came twice must not disturb the first.
            LOG.warning('Ignored: %s', error, instance=migration.instance)
            return
        try:
            self._make_way(migration)
            self._enqueue(migration)
        except Exception as error:
            self._take_out(migration, 'error', error)

    def _enqueue(self, migration: migration_lib.LiveMigration) -> None:
        tickets.publish(self._manager, migration, migration.request.ticket)
        event.start(self._manager.host, migration)
        if self._throttle.closed:
            raise exception.AdmissionClosed(
                migration_uuid=migration.record.uuid
            )
        migration.request = dataclasses.replace(
            migration.request,
            priority=priority.of_host(migration.context, self._manager.host),
        )
        self._journal.put(entries.entry_of(migration))
        try:
            self._manager._set_migration_status(migration.record, 'queued')
        except Exception as error:
            if not self._deferral.defer(migration, error):
                raise
        migration.announce()
        self._throttle.submit(
            migration.request, self._deferral.reason(migration)
        )
        self._wait_events.refresh()

    def retake(self, migration: migration_lib.LiveMigration) -> None:
        """Put a migration that was accepted before at the head of the queue.

        It can be aborted from where it is in the table on: whatever is
        written about it afterwards would overwrite how that ended.
        """
        if migration.record.status != 'queued':
            self._manager._set_migration_status(migration.record, 'queued')
        self._journal.put(entries.entry_of(migration))
        self._migrations.add(migration)
        tickets.publish(self._manager, migration, migration.request.ticket)
        self._throttle.resubmit(migration.request)

    def _make_way(self, migration: migration_lib.LiveMigration) -> None:
        """Have an older request of the same server leave the queue.

        One that is in hand can't be interrupted: its guest may be about to
        arrive.

        :raises AlreadyMigrating: if there is one that is in hand.
        """
        uuid = migration.instance.uuid
        for older in self._migrations.all_of_instance(uuid):
            if older is migration:
                break
            if not older.request.ticket.cancel():
                raise _already(older.record.uuid, uuid)
            self._take_out(
                older,
                'cancelled',
                exception.Superseded(
                    instance_uuid=uuid, migration_uuid=migration.record.uuid
                ),
            )
        busy = self._succession.in_hand(uuid) or self._cleanup.undoing(uuid)
        if busy is not None:
            raise _already(busy, uuid)


def _already(migration_uuid: str, instance_uuid: str) -> Exception:
    return exception.AlreadyMigrating(
        migration_uuid=migration_uuid, instance_uuid=instance_uuid
    )
