# SPDX-License-Identifier: Apache-2.0

"""What differs between Nova's releases: known here and nowhere else.

Everybody else calls this module and never asks for a version.
"""

from collections.abc import Callable
from concurrent import futures
import inspect
import sys
import threading
from typing import Any
from typing import TypeVar

from nova import utils
from nova import version
from oslo_log import log as logging

from nova_throttle import activation
from nova_throttle.compute import border

LOG = logging.getLogger(__name__)

M = TypeVar('M', bound=type)

# Major versions of Nova that the test suite is run with.
TESTED = frozenset(range(26, 35))

# The statuses of a live migration that is over.
FINAL_STATUSES = frozenset({'completed', 'failed', 'cancelled', 'error'})

# Nova's mark, since 34, of a handler that its shutdown need not wait for,
# because there is a task that it waits for.
_UNTRACKED = '_skip_automatic_rpc_tracking'

# How our threads are called in a thread dump.
THREAD_PREFIX = 'nova-throttle'


def nova_version() -> str:
    """Return the version of the installed Nova, such as 34.0.0."""
    return str(version.version_string())


def check_nova(allow_untested: bool) -> None:
    """Refuse a Nova release that we were not tested with.

    :param allow_untested: only warn.
    :raises UntestedNova: if the major version is not in TESTED.
    """
    found = nova_version()
    if int(found.split('.')[0]) in TESTED:
        return
    supported = ', '.join(str(major) for major in sorted(TESTED))
    error = activation.UntestedNova(version=found, supported=supported)
    if not allow_untested:
        raise error
    LOG.warning(
        'nova-throttle was never tested with Nova %(version)s (tested: '
        '%(supported)s) and runs because of [nova_throttle] '
        'allow_untested_nova',
        {'version': found, 'supported': supported},
    )


def mode() -> str:
    """Name the way in which this process runs concurrent work."""
    return 'native threads' if is_native() else 'eventlet'


def is_native() -> bool:
    """Tell whether the threads of this process are native ones."""
    novas = getattr(utils, 'concurrency_mode_threading', _is_unpatched)
    return bool(novas())


def _is_unpatched() -> bool:
    """Tell whether threads are real: Nova can't say it before 32."""
    patcher = sys.modules.get('eventlet.patcher')
    return patcher is None or not patcher.is_monkey_patched('thread')


def as_nova_has_it(manager: M) -> M:
    """Fit a manager to what this release has.

    A hook that it lacks is none of ours: a public method of a manager is an
    RPC method.

    :param manager: a subclass of a manager of Nova's.
    :returns: the same class; its methods look to Nova as its own do.
    """
    novas = super(manager, manager)
    for name, method in list(vars(manager).items()):
        if name.startswith('_') or not inspect.isfunction(method):
            continue
        if not hasattr(novas, name):
            delattr(manager, name)
        elif getattr(getattr(novas, name), _UNTRACKED, False):
            setattr(method, _UNTRACKED, True)
    return manager


def record_task_start(
    manager: border.Manager, migration: border.MigrationRecord
) -> Any:
    """Tell Nova's shutdown that it has to wait for a migration.

    :returns: how Nova knows the task; None before 34, which does not wait.
    """
    if not hasattr(manager, '_record_task_start'):
        return None
    return manager._record_task_start(
        'live_migration', migration.instance.uuid, migration.context.request_id
    )


def record_task_end(
    manager: border.Manager, migration: border.MigrationRecord, failed: bool
) -> None:
    """Tell Nova's shutdown that a migration is over."""
    if migration.task_key is not None:
        manager._record_task_end(migration.task_key, failed=failed)


def record_arrival_end(manager: border.Manager, instance_uuid: str) -> None:
    """Tell Nova's shutdown that an instance does not come any more.

    Nova 34 does it itself when it has finished, or undone, what came; twice
    is harmless. Before 34 there is nothing to tell.
    """
    end = getattr(manager, '_end_pending_dest_live_migration_task', None)
    if end is not None:
        end(instance_uuid)


def rollback_at_destination(
    manager: border.Manager,
    context: border.Context,
    instance: border.Instance,
    dest: str,
    destroy_disks: bool,
    migrate_data: border.MigrateData,
) -> None:
    """Have a destination undo its preparation, and wait for it.

    Nova's own client does not wait.
    """
    api = manager.compute_rpcapi
    _client_of_stopping(api, context, dest, '5.0').call(
        context,
        'rollback_live_migration_at_destination',
        instance=instance,
        destroy_disks=destroy_disks,
        migrate_data=migrate_data,
    )


def _client_of_stopping(
    api: Any, context: border.Context, host: str, version: str
) -> Any:
    """Return a client of a host that reaches it while it stops.

    Since 33 a host has a second topic for that.
    """
    client = api.router.client(context)
    version = api._ver(context, version)
    if hasattr(api, 'prepare_for_alt_rpcserver'):
        return api.prepare_for_alt_rpcserver(
            client, server=host, version=version
        )
    return client.prepare(server=host, version=version)


def for_monitor(
    monitor: Callable[..., Any], future: futures.Future[Any]
) -> Any:
    """Return what the driver's monitor asks whether the call is over.

    :param monitor: the driver's method; before 32 it asks an event of
        eventlet's, since then a future.
    :param future: is done when the call is over.
    """
    if 'finish_event' in inspect.signature(monitor).parameters:
        return _Event(future)
    return future


class _Event:
    def __init__(self, future: futures.Future[Any]) -> None:
        self.ready = future.done


def thread_name(work: str) -> str:
    """Name a thread of ours for what it works for."""
    return f'{THREAD_PREFIX}-{work}'


def spawn_n(
    context: border.Context, name: str, func: Callable[..., Any], *args: Any
) -> threading.Thread:
    """Run work on its own thread, off every bounded pool of Nova.

    The thread is a green one where Nova patched the threading module. It is
    named, so that an operator finds it in a report of the process.

    :param context: the request context that the work logs and acts under.
        Not the current one: whoever makes room for a migration spawns it,
        in the thread of another migration.
    :param name: what the thread works for.
    :param func: called with args; it must handle its own exceptions.
    :returns: the started thread, a daemon.
    :raises RuntimeError: if the process can't have another thread.
    """

    def work() -> None:
        context.update_store()
        func(*args)

    thread = threading.Thread(target=work, name=thread_name(name), daemon=True)
    thread.start()
    return thread
