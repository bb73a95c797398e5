# SPDX-License-Identifier: Apache-2.0

"""Versioned notifications of what Nova has none for, in Nova's form.

They say when a live migration is queued, admitted, and waits for the link.
They are sent on a thread of their own: a bus that is away delays them, and
nothing else.
"""

import functools

import nova.conf
from nova.notifications.objects import base as nova_notifications
from nova.objects import base as nova_base
from nova.objects import fields
from nova import rpc

from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute import threads
from nova_throttle import events
from nova_throttle import lifecycle

CONF = nova.conf.CONF

State = lifecycle.State

# By the state that a migration has entered.
_EVENTS = {State.QUEUED: 'queued', State.PREPARING: 'admitted'}
_WAITS = 'waiting_for_link'


# As Nova's own are: nobody makes objects of them again.
@nova_base.NovaObjectRegistry.register_if(False)
class LiveMigrationPayload(nova_notifications.NotificationPayloadBase):
    """A live migration on its way, by names that Nova's payloads have."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = 'nova_throttle'

    fields = {
        'uuid': fields.UUIDField(),
        'tenant_id': fields.StringField(nullable=True),
        'user_id': fields.StringField(nullable=True),
        'request_id': fields.StringField(nullable=True),
        'migration_uuid': fields.UUIDField(),
        'source_compute': fields.StringField(),
        'dest_compute': fields.StringField(nullable=True),
        'state': fields.StringField(),
        'priority': fields.IntegerField(),
        'accepted_at': fields.DateTimeField(),
    }


class Notifications:
    """Sends the notifications of one host, if they are wanted.

    :param parts: the parts of the host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._host = parts.manager.host
        self._migrations = parts.migrations
        self._wanted = CONF.nova_throttle.send_notifications
        self._worker = threads.BackgroundWorker('notifications')
        if self._wanted:
            parts.events.listen(self._note)
            parts.transfer.on_wait = functools.partial(self._send, _WAITS)

    def start(self) -> None:
        """Begin to send on a thread."""
        if self._wanted:
            self._worker.start()

    def stop(self) -> None:
        """End when all is sent; twice is harmless."""
        self._worker.stop()

    def _note(self, transition: events.Transition) -> None:
        name = _EVENTS.get(transition.after)
        migration = self._migrations.of_migration(transition.migration_uuid)
        # One that only goes on after a restart was told of before.
        if name and migration and transition.before is not transition.after:
            self._send(name, migration)

    def _send(self, name: str, migration: migration_lib.LiveMigration) -> None:
        payload = _payload(self._host, migration)
        self._worker.do(
            functools.partial(
                _emit, self._host, migration.context, name, payload
            )
        )


def _payload(
    host: str, migration: migration_lib.LiveMigration
) -> LiveMigrationPayload:
    instance = migration.instance
    payload = LiveMigrationPayload()
    payload.uuid = instance.uuid
    payload.tenant_id = instance.project_id
    payload.user_id = instance.user_id
    payload.request_id = migration.context.request_id
    payload.migration_uuid = migration.uuid
    payload.source_compute = host
    payload.dest_compute = migration.destination
    payload.state = migration.state.value
    payload.priority = migration.request.priority
    payload.accepted_at = migration.accepted_at
    # Nobody is told what has changed: all is new.
    payload.obj_reset_changes()
    return payload


@rpc.if_notifications_enabled
def _emit(
    host: str,
    context: border.Context,
    name: str,
    payload: LiveMigrationPayload,
) -> None:
    rpc.get_versioned_notifier(f'nova-compute:{host}').info(
        context,
        event_type=f'instance.live_migration_{name}',
        payload=payload.obj_to_primitive(),
    )
