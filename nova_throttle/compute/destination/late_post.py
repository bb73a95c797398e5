# SPDX-License-Identifier: Apache-2.0

"""The source's last message, if it comes after the source gave up on it.

It waits on the bus while this nova-compute is down, longer than the source
waits for an answer. By then the server is here and at rest in the database,
which Nova's handler of the message does not expect. What this host declines
for now is never answered as if it were done.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools

from nova.compute import task_states
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging
import oslo_messaging as messaging

from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute import sight
from nova_throttle import exception
from nova_throttle.outcome import reception

LOG = logging.getLogger(__name__)

Reception = reception.Reception


@contextlib.contextmanager
def made_ready(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
) -> Iterator[bool]:
    """Make the database what Nova expects of one that has just arrived.

    If Nova's handler fails the server is at rest again as it was before: it
    runs, and the source asks again.

    :param manager: the compute manager of this host.
    :param instance: the instance as the message has it.
    :returns: whether there is anything left to do for it here.
    :raises ExpectedException: if there is, and it cannot be done now.
    """
    before = _State()
    is_left = _make_ready(manager, context, instance, before)
    try:
        yield is_left
    except Exception:
        if is_left:
            _try_to_put_to_rest(manager.host, context, instance, before)
        raise


@dataclasses.dataclass
class _State:
    """What a server was before it was made ready.

    :param vm_state: None if that is not known.
    :param rested: whether it was at rest.
    """

    vm_state: str | None = None
    rested: bool = False


def _make_ready(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    before: _State,
) -> bool:
    try:
        found = objects.Instance.get_by_uuid(context, instance.uuid)
        comes = present.comes_to(context, found, manager.host)
    except Exception:
        # Nova knows best: most likely the message is in time.
        LOG.warning(
            'Cannot tell whether a live migration is finished late',
            instance=instance,
            exc_info=True,
        )
        return True
    before.vm_state = found.vm_state
    # Lazily: the hypervisor is asked only if the records do not tell.
    host, look = manager.host, functools.partial(_look, manager, found)
    todo = reception.receive(host, instance.host, found, comes, look)
    _take_up(todo, host, found, before)
    return todo in (Reception.FINISH, Reception.FINISH_LATE)


def _take_up(
    todo: Reception, host: str, found: border.Instance, before: _State
) -> None:
    if todo is Reception.NOT_NOW:
        _refuse(host, found)
    if todo is Reception.OLD_NEWS:
        LOG.warning(
            'That a live migration has arrived here is old news: the server '
            'is on %s, with the task state %s',
            found.host,
            found.task_state,
            instance=found,
        )
    if todo is Reception.FINISH_LATE:
        _make_migrating(host, found)
        before.rested = True


def _look(manager: border.Manager, found: border.Instance) -> sight.Sight:
    """Look for a guest; one that cannot be seen may still be on its way.

    Nova asks no driver whether a guest has arrived, and so its fake one does
    not know: any that is not ours is believed.
    """
    if not sight.is_sure(manager.driver):
        return sight.Sight.RUNS
    try:
        return sight.of_guest(manager.driver, found)
    except Exception:
        LOG.warning(
            'Cannot see whether a guest has arrived',
            instance=found,
            exc_info=True,
        )
        return sight.Sight.MOVES


def _make_migrating(host: str, found: border.Instance) -> None:
    found.task_state = task_states.MIGRATING
    # Nova's handler expects this state; a user's request that came meanwhile
    # goes first.
    try:
        found.save(expected_task_state=[None])
    except nova_exception.UnexpectedTaskStateError:
        found.refresh()
        _refuse(host, found)
    LOG.info(
        'The source did not wait until this host finished the live '
        'migration; that is done now',
        instance=found,
    )


def _refuse(host: str, found: border.Instance) -> None:
    """Have the source ask again.

    :raises ExpectedException: with ServerBusy, which the source gets without
        a traceback in our log.
    """
    busy = exception.ServerBusy(
        host=host, at=found.host, task_state=found.task_state
    )
    LOG.warning('%s', busy, instance=found)
    try:
        raise busy
    except exception.ServerBusy as error:
        raise messaging.ExpectedException() from error


def _try_to_put_to_rest(
    host: str,
    context: border.Context,
    instance: border.Instance,
    before: _State,
) -> None:
    try:
        _put_to_rest(host, context, instance, before)
    except Exception:
        # What failed before says more; the source asks again.
        LOG.warning(
            'Cannot put a server to rest whose arrival was not finished',
            instance=instance,
            exc_info=True,
        )


def _put_to_rest(
    host: str,
    context: border.Context,
    instance: border.Instance,
    before: _State,
) -> None:
    """Undo what Nova's handler, or this module, did to a server that runs."""
    found = objects.Instance.get_by_uuid(context, instance.uuid)
    if found.host != host or found.task_state not in (
        None,
        task_states.MIGRATING,
    ):
        return
    # What begins in this moment is not overwritten.
    expected = [found.task_state]
    if before.rested:
        found.task_state = None
    if before.vm_state is not None:
        # Nova makes it ERROR, and its guest runs.
        found.vm_state = before.vm_state
    try:
        found.save(expected_task_state=expected)
    except nova_exception.UnexpectedTaskStateError:
        LOG.debug('Somebody does something with it', instance=found)
