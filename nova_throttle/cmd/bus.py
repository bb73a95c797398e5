# SPDX-License-Identifier: Apache-2.0

"""Ask one question over the message bus of Nova.

There is an answer in time or an error of ours. No error ever quotes what
nova.conf says about the bus: passwords are in there.
"""

from collections.abc import Callable
from concurrent import futures
import functools
import getpass
import os
import socket
import threading
from typing import Any
from typing import TypeVar

from nova.conductor import rpcapi as conductor
from nova import config
from nova import context
from nova import exception as nova_exception
from nova import objects
from nova.objects import base as objects_base
from nova import rpc
from oslo_config import cfg
import oslo_messaging as messaging
from oslo_versionedobjects import base as ovo_base

from nova_throttle import exception
from nova_throttle import rpcapi

T = TypeVar('T')

# Seconds to reach the message bus; the time to wait for an answer starts
# after that. The library itself would try for ever.
CONNECT_TIMEOUT = 5.0


def connect(config_files: list[str]) -> None:
    """Read nova.conf and get ready to use its message bus.

    :param config_files: what to read; empty means where Nova looks.
    :raises UnreadableConfig: if that can't be done.
    """
    argv = ['nova-throttle']
    for name in config_files:
        argv += ['--config-file', name]
    parse(argv)


def parse(argv: list[str]) -> None:
    """Read nova.conf as a command line says, and get ready for its bus.

    :param argv: the name of the program, and its arguments.
    :raises UnreadableConfig: if that can't be done.
    """
    if exception.__name__ not in rpc.get_allowed_exmods():
        rpc.add_extra_exmods(exception.__name__)
    try:
        config.parse_args(argv, configure_db=False)
    except cfg.ConfigFileParseError as error:
        # Its message quotes the line.
        reason = f'{error.config_file} is not a configuration file'
    except (cfg.Error, messaging.DriverLoadFailure, OSError) as error:
        reason = str(error)
    except (messaging.InvalidTransportURL, ValueError):
        # They quote parts of the URL.
        reason = '[DEFAULT] transport_url is not valid'
    else:
        return
    raise exception.UnreadableConfig(reason=reason)


def use_conductor() -> None:
    """Have Nova's records read as nova-compute does, by the conductor."""
    objects.register_all()
    objects_base.NovaObject.indirection_api = conductor.ConductorAPI()


def ask(
    host: str, timeout: float, question: Callable[[rpcapi.ThrottleAPI, Any], T]
) -> T:
    """Ask a host's throttle something.

    :param host: whom to ask.
    :param timeout: seconds to wait for the answer.
    :param question: called with the API and an administrator's context.
    :returns: the answer.
    :raises ThrottleError: if there is none.
    """
    api = rpcapi.ThrottleAPI(host, timeout=timeout)
    return _in_time(timeout, lambda: question(api, administrator()))


def source_of(migration_uuid: str, timeout: float) -> str:
    """Ask a conductor which host a migration leaves.

    :param timeout: seconds to wait for the answer.
    :raises ThrottleError: if there is no such migration, or no answer.
    """
    objects.register_all()
    client = conductor.ConductorAPI().client.prepare(
        timeout=timeout, retry=rpcapi.SEND_RETRIES
    )
    get = functools.partial(
        client.call,
        administrator(),
        'object_class_action_versions',
        objname='Migration',
        objmethod='get_by_uuid',
        object_versions=ovo_base.obj_tree_get_versions('Migration'),
        args=(migration_uuid,),
        kwargs={},
    )
    try:
        return str(_in_time(timeout, get).source_compute)
    except nova_exception.MigrationNotFound:
        raise exception.NoSuchMigration(uuid=migration_uuid) from None
    except messaging.MessagingTimeout:
        raise exception.ConductorSilent(timeout=timeout) from None


def administrator() -> context.RequestContext:
    """Return an administrator's context that says who runs this."""
    admin = context.get_admin_context()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # One without a name.
        user = str(os.getuid())
    admin.user_name = f'{user}@{socket.gethostname()}'
    return admin


def _in_time(timeout: float, work: Callable[[], T]) -> T:
    deadline = timeout + CONNECT_TIMEOUT
    try:
        return within(deadline, work)
    except futures.TimeoutError:
        raise exception.BusSilent(timeout=deadline) from None


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do work that may never end, for at most so long.

    :raises TimeoutError: of concurrent.futures, if it was too long.
    """
    done: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    # A daemon, so that the process can end before its work.
    threading.Thread(target=run, name='ask', daemon=True).start()
    return done.result(seconds)
