# SPDX-License-Identifier: Apache-2.0

"""What of Nova is replaced, in one table.

Everything is checked before anything is replaced, so Nova is either wholly
overridden or untouched. Nova's own classes are never rebound: their
``super()`` calls name them.
"""

import dataclasses
import importlib
from typing import Any

from oslo_config import cfg

from nova_throttle import activation
from nova_throttle.compute import interface


@dataclasses.dataclass(frozen=True)
class Override:
    """One name of Nova that is replaced.

    :param holder: module, and attribute path within it, of the object that
        holds the name.
    :param name: the attribute or the dictionary key.
    :param original: what must be there for us to replace it.
    :param replacement: what we put there.
    """

    holder: str
    name: str
    original: str
    replacement: str


def _found(holder: Any, name: str) -> Any:
    """Return what is there.

    :raises MissingName: if nothing is.
    """
    names = holder if isinstance(holder, dict) else vars(holder)
    if name not in names:
        raise activation.MissingName(name=name)
    return names[name]


def _put(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[name] = value
    else:
        setattr(holder, name, value)


def _path(value: Any) -> str:
    """Name a class as Nova's table of managers does."""
    if isinstance(value, str):
        return value
    return f'{value.__module__}.{value.__qualname__}'


# The service table holds dotted names; the driver package holds the class
# that ``compute_driver = libvirt.LibvirtDriver`` resolves to.
TABLE = (
    Override(
        holder='nova.service:SERVICE_MANAGERS',
        name='nova-compute',
        original='nova.compute.manager.ComputeManager',
        replacement='nova_throttle.compute.manager.ThrottledComputeManager',
    ),
    Override(
        holder='nova.virt.libvirt',
        name='LibvirtDriver',
        original='nova.virt.libvirt.driver.LibvirtDriver',
        replacement='nova_throttle.virt.libvirt.driver.ThrottledLibvirtDriver',
    ),
)


def _new_value(override: Override, old: Any) -> Any:
    """Return the replacement in the form of what it replaces."""
    module, _, name = override.replacement.rpartition('.')
    new = getattr(importlib.import_module(module), name)
    return override.replacement if isinstance(old, str) else new


def install() -> None:
    """Put our classes in the place of Nova's; twice is harmless.

    :raises MissingName: if Nova lacks a name that we rely on.
    :raises ChangedSignature: if a function of Nova's takes other arguments.
    :raises ForeignOverride: if somebody else replaced one of the classes.
    """
    # Before our own classes are imported: they are made of Nova's.
    interface.check()
    limit = _limit_option()
    changes = []
    for override in TABLE:
        holder = interface.resolve(override.holder)
        old = _found(holder, override.name)
        if _path(old) == override.replacement:
            continue
        if _path(old) != override.original:
            raise activation.ForeignOverride(
                name=f'{override.holder} {override.name}',
                found=_path(old),
                expected=override.original,
            )
        changes.append((holder, override.name, _new_value(override, old)))
    for holder, name, value in changes:
        _put(holder, name, value)
    limit.mutable = True


def _limit_option() -> cfg.Opt:
    """Return Nova's option that is the limit of our source gate.

    Made mutable, a reload of nova.conf changes it; Nova only reads it when
    its pool is made.

    :raises MissingName: if there is no such option.
    """
    from nova.conf import compute

    name = 'max_concurrent_live_migrations'
    options: list[cfg.Opt] = compute.list_opts()['DEFAULT']
    for option in options:
        if option.name == name:
            return option
    raise activation.MissingName(name=f'[DEFAULT] {name}')


def uninstall() -> None:
    """Put Nova's own classes back where ours are; twice is harmless."""
    _limit_option().mutable = False
    for override in TABLE:
        holder = interface.resolve(override.holder)
        found = _found(holder, override.name)
        if _path(found) != override.replacement:
            continue
        module, _, name = override.original.rpartition('.')
        original = getattr(importlib.import_module(module), name)
        is_name = isinstance(found, str)
        _put(holder, override.name, override.original if is_name else original)
