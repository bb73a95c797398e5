# SPDX-License-Identifier: Apache-2.0

"""Nova's own credentials, lent to a request that was carried over a restart.

The token of its user is never on disk. Nova has credentials of its own for
most services and none for Glance, of which a destination without the image
fetches it: with the token that came with the request.
"""

from typing import Any

from keystoneauth1 import loading
import nova.conf
from oslo_log import log as logging

from nova_throttle.compute import border

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Where nova.conf may have them; [placement] is never without.
GROUPS = ('service_user', 'neutron', 'cinder', 'placement')

_ENDPOINTS = {
    'public': 'publicURL',
    'internal': 'internalURL',
    'admin': 'adminURL',
}


def lend(context: border.Context) -> None:
    """Give a context a fresh token of Nova's own, in memory only.

    Without one the context is as it was: not every migration needs it.

    :param context: the request context of a request without a user's token.
    """
    try:
        found = _plugin()
        if found is None:
            return
        plugin, session = found
        token = plugin.get_token(session)
        access = plugin.get_access(session)
        catalog = _catalog(access.service_catalog.catalog)
    except Exception:
        LOG.warning(
            'Nova has no token of its own for a live migration of before '
            'the restart, which goes on without one',
            exc_info=True,
        )
        return
    # This process renews it by the plugin; another gets it as it is now.
    context.user_auth_plugin = plugin
    context.auth_token = token
    context.service_catalog = catalog


def _plugin() -> tuple[Any, Any] | None:
    for group in GROUPS:
        plugin = loading.load_auth_from_conf_options(CONF, group)
        if plugin is not None:
            session = loading.load_session_from_conf_options(
                CONF, group, auth=plugin
            )
            return plugin, session
    return None


def _catalog(services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the catalog that Nova keeps in a context of Keystone's."""
    return [
        {
            'type': service['type'],
            'name': service.get('name'),
            'endpoints': _endpoints(service['endpoints']),
        }
        for service in services
    ]


def _endpoints(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the interfaces of each region together."""
    regions: dict[str | None, dict[str, Any]] = {}
    for endpoint in found:
        region = endpoint.get('region_id') or endpoint.get('region')
        urls = regions.setdefault(region, {'region': region})
        urls[_ENDPOINTS[endpoint['interface']]] = endpoint['url']
    return list(regions.values())
