# SPDX-License-Identifier: Apache-2.0

"""Requests that failed before they came to their source.

The conductor ends one that it could not see through: while something of the
control plane is away it makes the server ERROR, though its guest runs, and
cannot give the allocations back. This host finds both from facts.
"""

from collections.abc import Iterator
import datetime
from typing import Any

from nova.compute import vm_states
import nova.conf
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute import present
from nova_throttle.compute import sight
from nova_throttle.compute.source import leftovers
from nova_throttle import exception
from nova_throttle.outcome import words

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Seconds within which the server and its fault were written together.
TOGETHER = datetime.timedelta(seconds=60)

# What a server was whose guest is seen so.
_STATES = {
    sight.Sight.RUNS: vm_states.ACTIVE,
    sight.Sight.PAUSED: vm_states.PAUSED,
}


class Refused:
    """Finds requests of this host that its conductor gave up.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._parts = parts
        self._host = parts.manager.host

    def find(self, context: border.Context) -> None:
        """Repair what such requests left, once they are over."""
        if not CONF.nova_throttle.repair_leftovers:
            return
        for record in self._holding(context):
            self._clean_up(context, record)
        for standing in self._in_error(context):
            if self._make_usable(standing):
                self._clean_up(context, standing.migration)

    def _holding(
        self, context: border.Context
    ) -> Iterator[border.MigrationRecord]:
        """Find migrations that are over and hold allocations of this host."""
        client = self._parts.manager.reportclient
        here = objects.InstanceList.get_uuids_by_host(context, self._host)
        for node in objects.ComputeNodeList.get_all_by_host(
            context, self._host
        ):
            found = client.get_allocations_for_resource_provider(
                context, node.uuid
            ).allocations
            for uuid in set(found).difference(here):
                record = self._record(context, uuid)
                if record is not None and self._is_over(record):
                    yield record

    def _record(self, context: border.Context, uuid: str) -> Any:
        """Return the migration of a consumer of allocations, if it is one."""
        try:
            return objects.Migration.get_by_uuid(context, uuid)
        except nova_exception.MigrationNotFound:
            return None

    def _is_over(self, record: border.MigrationRecord) -> bool:
        return bool(
            record.migration_type == words.LIVE
            and record.source_compute == self._host
            and record.status in compat.FINAL_STATUSES
            and not self._parts.knows(record.uuid)
        )

    def _in_error(self, context: border.Context) -> Iterator[present.Standing]:
        """Find servers that the conductor made ERROR though they run here."""
        for instance in objects.InstanceList.get_by_filters(
            context,
            {
                'host': self._host,
                'vm_state': vm_states.ERROR,
                'deleted': False,
            },
        ):
            records = objects.MigrationList.get_by_filters(
                context, {'instance_uuid': instance.uuid}
            )
            newest = max(records, key=lambda r: r.id, default=None)
            if newest is not None and self._is_over(newest):
                standing = present.read(context, newest)
                if standing.is_ours and self._is_conductors(standing):
                    yield standing

    def _is_conductors(self, standing: present.Standing) -> bool:
        """Tell whether it was the conductor that made a server ERROR."""
        instance, migration = standing.instance, standing.migration
        fault = objects.InstanceFault.get_latest_for_instance(
            instance._context, instance.uuid
        )
        return bool(
            migration.status == 'error'
            and instance.vm_state == vm_states.ERROR
            and instance.task_state is None
            and fault is not None
            and fault.host != self._host
            and fault.created_at >= migration.created_at
            and abs(instance.updated_at - fault.created_at) < TOGETHER
        )

    def _make_usable(self, standing: present.Standing) -> bool:
        """Take a server whose guest runs out of ERROR; tell whether it was.

        One that stays in ERROR is found at each look.
        """
        instance = standing.instance
        found = sight.of_guest(self._parts.manager.driver, instance)
        if found not in _STATES:
            return False
        instance.vm_state = _STATES[found]
        try:
            instance.save(
                expected_vm_state=[vm_states.ERROR], expected_task_state=[None]
            )
        except (
            nova_exception.InstanceUpdateConflict,
            nova_exception.InstanceNotFound,
        ):
            return False  # somebody does something with it
        LOG.warning(
            'Live migration %(uuid)s failed before it came to this host, and '
            'its guest runs: the server is %(state)s again',
            {'uuid': standing.migration.uuid, 'state': instance.vm_state},
            instance=instance,
        )
        return True

    def _clean_up(
        self, context: border.Context, record: border.MigrationRecord
    ) -> None:
        """Have the migration give back what it holds, as of old."""
        error = exception.Refused(migration_uuid=record.uuid)
        leftovers.take_out(self._parts, context, record, record.status, error)
