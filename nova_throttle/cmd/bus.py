# SPDX-License-Identifier: Apache-2.0

"""Ask one question over the message bus of Nova.

There is an answer in time or an error of ours. No error ever quotes what
nova.conf says about the bus: passwords are in there.
"""

from collections.abc import Callable
from concurrent import futures
import threading
from typing import Any
from typing import TypeVar

from nova import config
from nova import context
from nova import rpc
from oslo_config import cfg
import oslo_messaging as messaging

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
    admin = context.get_admin_context()
    deadline = timeout + CONNECT_TIMEOUT
    try:
        return within(deadline, lambda: question(api, admin))
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
