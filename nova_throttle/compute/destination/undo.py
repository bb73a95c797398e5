# SPDX-License-Identifier: Apache-2.0

"""What this host prepared for a live migration is undone, until it is.

The source tells it once and waits for no answer. What fails here, while the
control plane is away, is tried again as long as the server is not on its way
to this host anew.
"""

import dataclasses
import threading
import types
from typing import Any

from nova.compute import manager as nova_manager
from nova import context as nova_context
from nova import safe_utils
from oslo_log import log as logging

from nova_throttle.compute import action_event
from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute.source import belongings
from nova_throttle.compute import trouble as trouble_lib

LOG = logging.getLogger(__name__)

# Without the decorators that add a fault and an event at each attempt.
_again = safe_utils.get_wrapped_function(
    nova_manager.ComputeManager.rollback_live_migration_at_destination
)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """What a source told this host to undo."""

    context: border.Context
    instance: border.Instance
    destroy_disks: Any
    migrate_data: border.MigrateData
    trouble: trouble_lib.Trouble


class Undo:
    """Undoes what this host prepared.

    :param manager: the compute manager of this host.
    """

    def __init__(self, manager: border.Manager) -> None:
        self._manager = manager
        self._lock = threading.Lock()
        # By instance: what is prepared for it here is prepared once.
        self._left: dict[str, _Prepared] = {}

    def run(
        self,
        novas: types.MethodType,
        context: border.Context,
        instance: border.Instance,
        destroy_disks: Any,
        migrate_data: border.MigrateData,
    ) -> Any:
        """Undo now what a source says, and again later if that fails.

        :param novas: Nova's handler of the message.
        """
        trouble = trouble_lib.Trouble(
            f'Undoing what this host prepared for server {instance.uuid}', LOG
        )
        prepared = _Prepared(
            context, instance, destroy_disks, migrate_data, trouble
        )
        with self._lock:
            self._left.pop(instance.uuid, None)
        # The message may be older than the guest that runs here by now.
        if not self._may(prepared):
            LOG.warning(
                'A rollback came late: the server is here, or on its way',
                instance=instance,
            )
            return None
        try:
            result = action_event.handle(
                novas, context, instance, destroy_disks, migrate_data
            )
            self._drop_bindings(instance)
        except Exception:
            with self._lock:
                self._left[instance.uuid] = prepared
            # Nova notes the fault; the source does not wait for it.
            raise
        return result

    def look(self, context: border.Context) -> bool:
        """Try again what failed.

        :returns: whether something is left.
        """
        for prepared in list(self._left.values()):
            try:
                self._retry(prepared)
            except Exception as error:
                prepared.trouble.note(error)
            else:
                prepared.trouble.over()
        return bool(self._left)

    def _retry(self, prepared: _Prepared) -> None:
        if self._may(prepared):
            _again(
                self._manager,
                prepared.context,
                prepared.instance,
                prepared.destroy_disks,
                prepared.migrate_data,
            )
            self._drop_bindings(prepared.instance)
        with self._lock:
            # The source may have said something newer meanwhile.
            if self._left.get(prepared.instance.uuid) is prepared:
                del self._left[prepared.instance.uuid]

    def _may(self, prepared: _Prepared) -> bool:
        return present.may_undo(
            prepared.context,
            self._manager.host,
            prepared.instance.uuid,
            prepared.migrate_data,
        )

    def _drop_bindings(self, instance: border.Instance) -> None:
        """Delete the port bindings here: Nova only logs if it cannot."""
        # As administrator: to a user, Neutron does not show the binding.
        context = nova_context.get_admin_context()
        api = self._manager.network_api
        ports = api.list_ports(context, device_id=instance.uuid)['ports']
        belongings.delete_inactive(api, context, ports, self._manager.host)
