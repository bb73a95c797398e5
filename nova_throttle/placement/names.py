# SPDX-License-Identifier: Apache-2.0

"""How gates, their hosts and the owners of slots are called in Placement.

Each name can be read back: whoever finds one knows which gate, which hosts or
which migration is meant.
"""

import fnmatch
import re

from nova_throttle.placement import errors

RESOURCE_CLASS = 'CUSTOM_LIVE_MIGRATION_SLOT'
# On each of our providers, so that one question finds them all.
TRAIT = 'CUSTOM_NOVA_THROTTLE_GATE'
# Not a project of Keystone's: what we allocate counts in nobody's quota.
PROJECT = 'nova-throttle'

# Names of the gates that each host has itself.
RESERVED = frozenset({'source', 'destination', 'transfer-out', 'transfer-in'})

# What Placement has room for.
MAX_NAME = 200

_PREFIX = 'nova-throttle:'
_GATE = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,62}')
# The digit of a UUID that says how it was made: Nova's migrations have a 4,
# and Nova itself allocates under the UUID of a migration.
_VERSION_AT = 14
_NOVAS, _OURS = '4', '8'


def check_gate(name: str) -> str:
    """Return the name of a gate.

    :raises InvalidGate: if it can be none.
    """
    if not _GATE.fullmatch(name):
        raise errors.InvalidGate(name=name)
    if name in RESERVED:
        raise errors.ReservedGate(name=name)
    return name


def provider_of(gate: str) -> str:
    """Name the provider of a gate."""
    return _PREFIX + gate


def member_of(gate: str, pattern: str) -> str:
    """Name the provider below a gate's that says which hosts it limits.

    :raises InvalidPattern: if that can't be a pattern of hosts.
    """
    name = f'{_PREFIX}{gate}:{pattern}'
    if not pattern or len(name) > MAX_NAME or not pattern.isprintable():
        raise errors.InvalidPattern(pattern=pattern)
    return name


def parse(provider: str) -> tuple[str, str] | None:
    """Return the gate, and the pattern if any, that a provider is of.

    :returns: None if it is none of ours.
    """
    if not provider.startswith(_PREFIX):
        return None
    gate, _, pattern = provider.removeprefix(_PREFIX).partition(':')
    return (gate, pattern) if _GATE.fullmatch(gate) else None


def matches(patterns: tuple[str, ...], host: str) -> bool:
    """Tell whether a host is one of those that some patterns describe."""
    return any(fnmatch.fnmatchcase(host, pattern) for pattern in patterns)


def consumer_of(migration_uuid: str) -> str:
    """Return the consumer of a migration's slots."""
    if migration_uuid[_VERSION_AT] != _NOVAS:
        raise ValueError(f'{migration_uuid} is no random UUID')
    return _with_version(migration_uuid, _OURS)


def migration_of(consumer: str) -> str:
    """Return the migration that a consumer is of; the consumer if of none."""
    if consumer[_VERSION_AT : _VERSION_AT + 1] != _OURS:
        return consumer
    return _with_version(consumer, _NOVAS)


def _with_version(uuid: str, version: str) -> str:
    return uuid[:_VERSION_AT] + version + uuid[_VERSION_AT + 1 :]
