# SPDX-License-Identifier: Apache-2.0

"""The entry point: how nova-compute gets its throttle.

An operator who asked for a throttle never runs without one: whatever keeps
it from being installed stops nova-compute with one readable line. Heavy
imports wait until then, because a plugin that can't be imported is skipped.
"""

import sys
from typing import Any

import os_vif.objects.host_info
import os_vif.plugin
from oslo_config import cfg
from oslo_log import log as logging

from nova_throttle import activation
from nova_throttle import conf as throttle_conf
from nova_throttle.conf import types
from nova_throttle import misplaced

LOG = logging.getLogger(__name__)


class NovaThrottle(os_vif.plugin.PluginBase):
    """A VIF plugin that plugs no VIF.

    nova-compute loads all VIF plugins after it has read its configuration
    and before it creates its service, in every release: the one moment at
    which a package beside Nova is asked for in time.
    """

    @classmethod
    def load(cls, plugin_name: str) -> Any:
        """Install the overrides if this is nova-compute and wants them.

        :raises SystemExit: if they are wanted and can't be had.
        """
        if 'nova.cmd.compute' in sys.modules:
            _activate_or_stop(cfg.CONF)
        return super().load(plugin_name)

    def describe(self) -> Any:
        """Describe a plugin that supports no VIF type."""
        return os_vif.objects.host_info.HostPluginInfo(
            plugin_name='nova_throttle', vif_info=[]
        )

    def plug(self, vif: Any, instance_info: Any) -> None:
        """Do nothing: no VIF ever names this plugin."""

    def unplug(self, vif: Any, instance_info: Any) -> None:
        """Do nothing: no VIF ever names this plugin."""


def activate(conf: cfg.ConfigOpts) -> bool:
    """Install the overrides if [nova_throttle] enabled is true.

    :param conf: the configuration of this process.
    :returns: whether they are installed.
    :raises ActivationError: if they are wanted and can't be had.
    """
    throttle_conf.register_opts(conf)
    if not throttle_conf.read(conf, 'enabled', 'nova_throttle'):
        return False
    outgoing = throttle_conf.read_all(conf)
    # Local: Nova is there for sure only now.
    from nova_throttle.compute import compat
    from nova_throttle import overrides

    compat.check_nova(conf.nova_throttle.allow_untested_nova)
    overrides.install()
    LOG.info(
        'nova-throttle is active: Nova %(nova)s, %(mode)s, %(limits)s',
        {
            'nova': compat.nova_version(),
            'mode': compat.mode(),
            'limits': _limits(outgoing, conf.nova_throttle),
        },
    )
    return True


def _limits(outgoing: int, options: Any) -> str:
    """Say what the limits are; of the link only if there is one."""
    incoming = options.max_incoming_live_migrations
    text = (
        f'{_number(outgoing)} outgoing and {_number(incoming)} incoming live '
        'migrations at a time'
    )
    transfers = {
        'outgoing': options.max_outgoing_transfers,
        'incoming': options.max_incoming_transfers,
    }
    limited = [
        f'{_number(limit)} {way}' for way, limit in transfers.items() if limit
    ]
    if limited:
        text += f', of which {" and ".join(limited)} may have the network link'
    return text


def _number(limit: int | str) -> str:
    if limit == types.AUTO:
        return 'a measured number of'
    return f'at most {limit}' if limit else 'any number of'


def _activate_or_stop(conf: cfg.ConfigOpts) -> None:
    for problem in misplaced.find(conf):
        LOG.warning('nova-throttle: %s', problem)
    try:
        activate(conf)
    except activation.ActivationError as error:
        reason = str(error)
    except Exception as error:
        # Such as a name that this Nova does not have.
        LOG.debug('nova-throttle cannot be activated', exc_info=True)
        reason = f'{type(error).__name__}: {error}'
    else:
        return
    LOG.critical('nova-throttle: %s; nova-compute stops', reason)
    sys.exit(1)
