# SPDX-License-Identifier: Apache-2.0

"""What an operator does with the queue of a host.

What was changed is in the journal before the operator is answered. The
admission decides whether a migration still waits, in the same step in which
it is changed. A pause ends by the operator's word only.
"""

import threading

from typing import Any

from nova.compute import instance_actions
from nova import objects
from oslo_log import log as logging
from oslo_utils import timeutils

from nova_throttle.admission import controller
from nova_throttle.admission import priority as priority_lib
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import wait_events as wait_events_lib
from nova_throttle import exception
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle
from nova_throttle.objects import pause as pause_obj

LOG = logging.getLogger(__name__)

State = lifecycle.State


class Control:
    """Changes the queue of one host.

    :param manager: the compute manager of this host.
    :param migrations: its live migrations.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param wait_events: reports what they wait for.
    """

    def __init__(
        self,
        manager: border.Manager,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        wait_events: wait_events_lib.WaitEvents,
    ) -> None:
        self._manager = manager
        self._migrations = migrations
        self._journal = journal
        self._throttle = throttle
        self._wait_events = wait_events
        # One change after the other: what is in the journal last is what is
        # true. Nothing else waits for it.
        self._turn = threading.Lock()

    def begin(self) -> None:
        """Go on with a pause of before a restart."""
        pause = self._journal.pause
        if pause is not None:
            self._throttle.halt(standstill.Standstill.PAUSED)
            LOG.warning(
                'The queue of this host is paused since %(since)s by '
                '%(user)s, and nothing leaves it: %(reason)s',
                {
                    'since': pause.since,
                    'user': pause.user,
                    'reason': pause.reason or 'no reason was given',
                },
            )

    def pause(self, reason: str, request_id: str, user: str) -> None:
        """Let nothing start to leave this host until resume().

        What is in progress goes on, and what comes to this host too. Twice
        is harmless: the later reason is kept.
        """
        now = timeutils.utcnow(with_timezone=True).replace(microsecond=0)
        with self._turn:
            self._journal.pause = pause_obj.Pause(
                reason=reason, since=now, request_id=request_id, user=user
            )
            self._throttle.halt(standstill.Standstill.PAUSED)
        self._wait_events.refresh()

    def resume(self) -> None:
        """End a pause; harmless if there is none."""
        with self._turn:
            self._journal.pause = None
            self._throttle.resume(standstill.Standstill.PAUSED)
        self._wait_events.refresh()

    def cancel(self, context: border.Context, migration_uuid: str) -> None:
        """Abort a queued migration as Nova does it.

        :param context: of the operator, in whose name it is recorded.
        :raises UnknownMigration: if this host has no such migration.
        :raises NotWaiting: if it is not queued.
        """
        migration = self._find(migration_uuid)
        if request_lib.is_used(migration.request.ticket):
            raise self._not_waiting(migration)
        # Its event is found by the request id of the context.
        objects.InstanceAction.action_start(
            context,
            migration.instance.uuid,
            instance_actions.LIVE_MIGRATION_CANCEL,
            want_result=False,
        )
        self._manager.live_migration_abort(
            context, migration.instance, migration.record.id
        )

    def prioritize(
        self, migration_uuid: str, priority: priority_lib.Priority
    ) -> int:
        """Give a migration that waits another priority.

        :returns: that which it had.
        :raises UnknownMigration: if this host has no such migration.
        :raises NotWaiting: if it does not wait.
        """
        before = self._find(migration_uuid).request.priority
        self._change(migration_uuid, priority=int(priority))
        return before

    def hold(self, migration_uuid: str, held: bool) -> None:
        """Pass a queued migration over, or do so no more.

        :raises UnknownMigration: if this host has no such migration.
        :raises NotWaiting: if it is not queued.
        """
        self._change(migration_uuid, held=held)

    def _change(self, migration_uuid: str, **values: Any) -> None:
        migration = self._find(migration_uuid)
        with self._turn:
            try:
                request = self._throttle.change(migration_uuid, **values)
            except exception.NotQueued as error:
                raise self._not_waiting(migration) from error
            # It may have been admitted and put back meanwhile.
            if migration.request.ticket is request.ticket:
                migration.request = request
            self._journal.change(migration_uuid, **values)
        self._wait_events.refresh()

    def _find(self, migration_uuid: str) -> migration_lib.LiveMigration:
        migration = self._migrations.of_migration(migration_uuid)
        if migration is None:
            raise exception.UnknownMigration(
                host=self._manager.host, migration_uuid=migration_uuid
            )
        return migration

    @staticmethod
    def _not_waiting(
        migration: migration_lib.LiveMigration,
    ) -> exception.NotWaiting:
        # One that has just been admitted is not preparing yet.
        is_new = migration.state is State.QUEUED
        return exception.NotWaiting(
            migration_uuid=migration.uuid,
            state='about to start' if is_new else migration.state.value,
            instance_uuid=migration.instance.uuid,
            migration_id=migration.record.id,
        )
