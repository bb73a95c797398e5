# SPDX-License-Identifier: Apache-2.0

"""Requests that were lost between Nova's API and its conductor.

The API has made the server MIGRATING, and a message bus that was killed had
the only copy of the rest: there is no record of a migration, and nobody would
ever put the server to rest but a restart of its host.
"""

from typing import Any

from nova.compute import task_states
import nova.conf
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging
from oslo_utils import timeutils

from nova_throttle.compute import action_event
from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import event
from nova_throttle import exception

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class Lost:
    """Finds servers of this host that nobody migrates.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._host = parts.manager.host
        self._migrations = parts.migrations

    def find(self, context: border.Context) -> None:
        """Put them to rest."""
        if not CONF.nova_throttle.repair_leftovers:
            return
        for instance in objects.InstanceList.get_by_filters(
            context,
            {
                'host': self._host,
                'task_state': task_states.MIGRATING,
                'deleted': False,
            },
            expected_attrs=[],
        ):
            if self._migrations.of_instance(instance.uuid) is not None:
                continue
            action = _lost_action(context, instance)
            if action is not None:
                self._end(context, instance, action)

    def _end(
        self, context: border.Context, instance: border.Instance, action: Any
    ) -> None:
        instance.task_state = None
        try:
            instance.save(expected_task_state=[task_states.MIGRATING])
        except (
            nova_exception.UnexpectedTaskStateError,
            nova_exception.InstanceNotFound,
        ):
            return  # somebody does something with it
        error = exception.RequestLost(request_id=action.request_id)
        LOG.warning('The server is at rest: %s', error, instance=instance)
        event.tell_lost(self._host, context, instance, action, error)


def _lost_action(context: border.Context, instance: border.Instance) -> Any:
    """Return the action of a server that nobody migrates; None if it is not.

    The conductor makes the record of a migration first of all.
    """
    newest = action_event.newest(
        action_event.live_migrations(context, instance.uuid)
    )
    if newest is None or not timeutils.is_older_than(
        newest.start_time, CONF.long_rpc_timeout
    ):
        return None
    records = objects.MigrationList.get_by_filters(
        context, {'instance_uuid': instance.uuid}
    )
    is_there = any(each.created_at >= newest.start_time for each in records)
    return None if is_there else newest
