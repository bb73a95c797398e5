# SPDX-License-Identifier: Apache-2.0

"""Our classes where Nova's tests name Nova's.

Services get them as nova-compute does: from the overrides. Unit tests make a
manager or a driver themselves, of a module that they imported; in those test
modules, and only there, a stand-in of the module has our class. Everything
else of it is Nova's, so what a test patches there is patched in Nova.
"""

import contextlib
import functools
import importlib
import sys
import types
from typing import Any
import unittest

from nova_throttle import fixture

# Nova's modules whose class a test may make, and ours of the class.
CLASSES = {
    'nova.compute.manager': (
        'ComputeManager',
        'nova_throttle.compute.manager:ThrottledComputeManager',
    ),
    'nova.virt.libvirt.driver': (
        'LibvirtDriver',
        'nova_throttle.virt.libvirt.driver:ThrottledLibvirtDriver',
    ),
}


class Standin(types.ModuleType):
    """A module, but for one of its classes."""

    def __init__(self, module: types.ModuleType, name: str, cls: type) -> None:
        super().__init__(module.__name__)
        vars(self).update(_module=module, _name=name, _cls=cls)
        # Found here before they are asked of the module.
        for each in ('__doc__', '__loader__', '__package__', '__spec__'):
            vars(self).pop(each, None)

    def __getattr__(self, name: str) -> Any:
        own = vars(self)
        if name == own['_name']:
            return own['_cls']
        return getattr(own['_module'], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)['_module'], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(vars(self)['_module'], name)


def put_in() -> None:
    """Put stand-ins into all test modules of Nova's that are loaded."""
    replacements: dict[int, Any] = {}
    for module_name, (name, ours) in CLASSES.items():
        module = importlib.import_module(module_name)
        holder, _, attribute = ours.partition(':')
        cls = getattr(importlib.import_module(holder), attribute)
        replacements[id(module)] = Standin(module, name, cls)
        replacements[id(getattr(module, name))] = cls
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith('nova.tests.'):
            for name, value in list(vars(module).items()):
                if id(value) in replacements:
                    setattr(module, name, replacements[id(value)])


class _ThrottleFixture(fixture.ThrottleFixture):
    """Lets a test of Nova's end before the migration that it asked for."""

    def _join_threads(self) -> None:
        with contextlib.suppress(AssertionError):
            super()._join_threads()


def throttle(test: unittest.TestCase) -> None:
    """Have a test run with nova-throttle, from its setUp() on."""
    original = test.setUp

    @functools.wraps(original)
    def set_up() -> None:
        test.useFixture(_ThrottleFixture())
        original()

    test.setUp = set_up
