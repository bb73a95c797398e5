# SPDX-License-Identifier: Apache-2.0

"""One event of an instance action for each step, however often it is taken.

Of several events with the same name Nova finishes only the first: whatever
opened another, at a second attempt, would leave it without an end.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import types
from typing import Any

from nova.compute import instance_actions
from nova.compute import utils as compute_utils
from nova import objects
from nova import safe_utils
from oslo_log import log as logging

from nova_throttle.compute import border

LOG = logging.getLogger(__name__)


class Reopened(compute_utils.EventReporter):
    """Ends an event that an earlier attempt has opened."""

    def __enter__(self) -> 'Reopened':
        return self


def handle(
    novas: types.MethodType,
    context: border.Context,
    instance: border.Instance,
    *args: Any,
) -> Any:
    """Have a handler of Nova's deal with a message that may come twice.

    :param novas: the handler, a method of the manager, which opens an event.
    """
    manager: Any = novas.__self__
    name = f'compute_{novas.__name__}'
    if not is_there(context, instance.uuid, name):
        return novas(context, instance, *args)
    # Without the decorators that open an event and add a fault.
    again = safe_utils.get_wrapped_function(novas)
    with Reopened(context, name, manager.host, instance.uuid):
        return again(manager, context, instance, *args)


def is_there(context: border.Context, instance_uuid: str, name: str) -> bool:
    """Tell whether an action has an event already.

    :param context: of the request that the action was made for.
    :param name: the name of the event.
    """
    try:
        action = _action_of(context, instance_uuid)
        return action is not None and any(
            found.event == name
            for found in objects.InstanceActionEventList.get_by_action(
                context, action.id
            )
        )
    except Exception:
        LOG.warning(
            'Cannot tell whether %s is taken for the first time',
            name,
            instance_uuid=instance_uuid,
            exc_info=True,
        )
        return False


def _action_of(context: border.Context, instance_uuid: str) -> Any:
    """Return the action that Nova takes for a request; None if it has none."""
    found = objects.InstanceAction.get_by_request_id(
        context, instance_uuid, context.request_id
    )
    if found is not None or context.project_id:
        return found
    actions = objects.InstanceActionList.get_by_instance_uuid(
        context, instance_uuid
    )
    return actions[0] if actions else None


def of_record(context: border.Context, record: border.MigrationRecord) -> Any:
    """Return the action that a live migration was asked for with.

    :param record: its record.
    :returns: None if there is none any more.
    """
    # The conductor makes the record for the action.
    return newest(
        action
        for action in live_migrations(context, record.instance_uuid)
        if action.start_time <= record.created_at
    )


def live_migrations(
    context: border.Context, instance_uuid: str
) -> Iterator[Any]:
    """Return the actions of all live migrations of a server."""
    for action in objects.InstanceActionList.get_by_instance_uuid(
        context, instance_uuid
    ):
        if action.action == instance_actions.LIVE_MIGRATION:
            yield action


def newest(actions: Iterable[Any]) -> Any:
    """Return the action that was begun last; None of none."""
    return max(actions, key=lambda each: each.start_time, default=None)


def under(context: border.Context, action: Any) -> border.Context:
    """Return a context in which Nova finds an action.

    In that of no request it takes the newest action of the server, which is
    another one's if there was a newer request.

    :param action: None for no action.
    """
    context = context.elevated()
    if action is not None:
        context.request_id = action.request_id
    return context
