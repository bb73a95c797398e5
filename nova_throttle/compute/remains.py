# SPDX-License-Identifier: Apache-2.0

"""What a conductor leaves of a live migration that is over.

It binds the ports of a server on the host that it has chosen. If Neutron's
answer is lost, the client asks again and is told that the binding exists: the
conductor takes that host for unsuitable, and leaves the binding. From then on
no live migration of this server can go to that host.

And it opens events of the instance action, which stay open if it is killed.
"""

from collections.abc import Iterator
import datetime

import nova.conf
from nova import context as nova_context
from nova.network import neutron
from nova import objects
from oslo_log import log as logging
from oslo_utils import timeutils

from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute import present
from nova_throttle.compute.source import event
from nova_throttle.outcome import words

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# How old the end of a migration may be that is looked at after a start; and by
# how much the clocks of two hosts may differ.
LOOK_BACK = datetime.timedelta(hours=1)
SKEW = datetime.timedelta(seconds=60)
# More of them than come to their end on one host between two looks.
MANY = 200
# Seconds that whoever opened an event has to end it.
GRACE = 60

# A port, and a host on which it need not be bound.
Forgotten = tuple[str, str]


class Remains:
    """Finds such remains of the servers of this host.

    :param parts: the parts of this host.
    """

    def __init__(self, parts: assembly_lib.Assembly) -> None:
        self._manager = parts.manager
        self._since = timeutils.utcnow(with_timezone=True) - LOOK_BACK
        # Migrations that are over, of servers that were not at rest yet.
        self._pending: dict[str, border.MigrationRecord] = {}

    def look(self, context: border.Context) -> None:
        """Clear them away, once a live migration of the server is over.

        :raises Exception: the last of what failed; it is tried again.
        """
        if not CONF.nova_throttle.repair_leftovers:
            return
        begun = timeutils.utcnow(with_timezone=True)
        self._add_ended(context)
        self._since = begun - SKEW
        failure = None
        for record in list(self._pending.values()):
            try:
                if self._clear(context, record):
                    del self._pending[record.uuid]
            except Exception as error:
                failure = error
        if failure is not None:
            raise failure

    def _add_ended(self, context: border.Context) -> None:
        """Note the migrations that are over and not looked at yet."""
        found = objects.MigrationList.get_by_filters(
            context,
            {
                'host': self._manager.host,
                'migration_type': words.LIVE,
                'status': list(compat.FINAL_STATUSES),
            },
            # Nova's changes-since cannot be sent to a conductor.
            sort_keys=['updated_at', 'id'],
            sort_dirs=['desc', 'desc'],
            limit=MANY,
        )
        self._pending |= {
            record.uuid: record
            for record in found
            # One that was made so has never been anywhere.
            if record.updated_at and record.updated_at >= self._since
        }

    def _clear(
        self, context: border.Context, record: border.MigrationRecord
    ) -> bool:
        """Clear away what one left; False if it is to be seen again."""
        standing = present.read(context, record)
        if standing.instance is None:
            return True
        if standing.instance.host != self._manager.host:
            return True  # that host looks
        if not self._is_at_rest(standing):
            return False
        forgotten = list(self._forgotten(standing))
        # Again: what came meanwhile needs its bindings.
        if not self._is_at_rest(present.read(context, record)):
            return False
        for port, host in forgotten:
            self._delete(standing.instance, port, host)
        return _end_events(context, record)

    def _delete(self, instance: border.Instance, port: str, host: str) -> None:
        LOG.warning(
            'Port %(port)s is bound to %(host)s, though no live migration '
            'goes there: that binding is deleted',
            {'port': port, 'host': host},
            instance=instance,
        )
        self._manager.network_api.delete_port_binding(
            nova_context.get_admin_context(), port, host
        )

    def _is_at_rest(self, standing: present.Standing) -> bool:
        return (
            standing.rests_on(self._manager.host)
            and standing.instance.task_state is None
        )

    def _forgotten(self, standing: present.Standing) -> Iterator[Forgotten]:
        # As administrator: to a user, Neutron does not show bindings.
        context = nova_context.get_admin_context()
        api = self._manager.network_api
        if not api.has_port_binding_extension(context):
            return
        client = neutron.get_client(context, admin=True)
        ports = api.list_ports(context, device_id=standing.instance.uuid)
        for port in ports['ports']:
            found = client.list_port_bindings(port['id'])
            for binding in found['bindings']:
                if binding['status'] == 'INACTIVE':
                    yield port['id'], binding['host']


def _end_events(
    context: border.Context, record: border.MigrationRecord
) -> bool:
    """End what is open of a migration; False if it may be too early."""
    if not timeutils.is_older_than(record.updated_at, GRACE):
        return False
    return event.end_open(context, record, event.failure_of(record))
