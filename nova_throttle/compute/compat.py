# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What differs between Nova's releases: known here and nowhere else.

Everybody else calls this module and never asks for a version.
"""

from collections.abc import Callable
import threading
from typing import Any

from nova import utils
from nova import version
from oslo_log import log as logging

from nova_throttle import exception

LOG = logging.getLogger(__name__)

# Major versions of Nova that the test suite is run with.
TESTED = frozenset({34})

# The statuses of a live migration that is over.
FINAL_STATUSES = frozenset({'completed', 'failed', 'cancelled', 'error'})

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
    error = exception.UntestedNova(version=found, supported=supported)
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
    native = utils.concurrency_mode_threading()
    return 'native threads' if native else 'eventlet'


def record_task_start(manager: Any, job: Any) -> Any:
    """Tell Nova's shutdown that it has to wait for a migration.

    :returns: how Nova knows the task.
    """
    return manager._record_task_start(
        'live_migration', job.instance.uuid, job.context.request_id
    )


def record_task_end(manager: Any, job: Any, failed: bool) -> None:
    """Tell Nova's shutdown that a migration is over."""
    if job.task_key is not None:
        manager._record_task_end(job.task_key, failed=failed)


def rollback_at_destination(
    manager: Any,
    context: Any,
    instance: Any,
    dest: str,
    destroy_disks: bool,
    migrate_data: Any,
) -> None:
    """Have a destination undo its preparation, and wait for it.

    Nova's own client does not wait.
    """
    api = manager.compute_rpcapi
    client = api.prepare_for_alt_rpcserver(
        api.router.client(context),
        server=dest,
        version=api._ver(context, '5.0'),
    )
    client.call(
        context,
        'rollback_live_migration_at_destination',
        instance=instance,
        destroy_disks=destroy_disks,
        migrate_data=migrate_data,
    )


def thread_name(work: str) -> str:
    """Name a thread of ours for what it works for."""
    return f'{THREAD_PREFIX}-{work}'


def spawn_n(
    context: Any, name: str, func: Callable[..., Any], *args: Any
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
