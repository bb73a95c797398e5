# SPDX-License-Identifier: Apache-2.0

"""The options of [nova_throttle].

Nothing here reads a global configuration: whoever has one passes it in.
"""

from typing import Any

from oslo_config import cfg

from nova_throttle import activation
from nova_throttle.conf import gates
from nova_throttle.conf import host
from nova_throttle.conf import types

AUTO = types.AUTO

GROUP = cfg.OptGroup(
    'nova_throttle',
    title='Live-migration admission control',
    help='Options of nova-throttle, read by nova-compute only.',
)

ALL_OPTS: list[cfg.Opt] = [
    *host.ACTIVATION_OPTS,
    *gates.INCOMING_OPTS,
    *gates.TRANSFER_OPTS,
    *gates.SHARED_OPTS,
    *host.JOURNAL_OPTS,
    *host.HOUSEKEEPING_OPTS,
    *host.MONITORING_OPTS,
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Make our options known to a configuration; twice is harmless.

    :param conf: the configuration of the process.
    """
    conf.register_group(GROUP)
    conf.register_opts(ALL_OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return our options for the sample generator and the validator."""
    return [(GROUP, ALL_OPTS)]


def read(
    conf: cfg.ConfigOpts,
    name: str,
    group: str | None = None,
    *,
    may_be_unset: bool = False,
) -> Any:
    """Read one option.

    :param conf: the configuration of the process.
    :param group: of the option; None is ``[DEFAULT]``.
    :param may_be_unset: whether it may have no value.
    :raises InvalidOption: if it has no value, or a bad one.
    """
    option = f'[{group or "DEFAULT"}] {name}'
    try:
        value = getattr(conf[group] if group else conf, name)
    except (ValueError, cfg.Error) as error:
        reason = ' '.join(str(error).split())
        raise activation.InvalidOption(option=option, reason=reason) from error
    if value in (None, '') and not may_be_unset:
        raise activation.InvalidOption(option=option, reason='it has no value')
    return value


def read_all(conf: cfg.ConfigOpts) -> int:
    """Read each option that we use.

    :returns: the limit of outgoing live migrations.
    :raises InvalidOption: if one can't be read.
    """
    register_opts(conf)
    for opt in ALL_OPTS:
        read(conf, opt.dest, GROUP.name, may_be_unset=opt.default is None)
    limit: int = read(conf, 'max_concurrent_live_migrations')
    return limit
