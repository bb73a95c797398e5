# SPDX-License-Identifier: Apache-2.0

"""Which of Nova's tests are about live migration.

Whole modules of functional tests, those of other modules that speak of it,
and those unit tests of the compute manager and the libvirt driver whose names
say so or that test a hook we override.
"""

from collections.abc import Iterator
import importlib
import inspect
import pathlib
import re
import unittest

FUNCTIONAL = (
    'nova.tests.functional.compute.test_live_migration',
    'nova.tests.functional.libvirt.test_live_migration',
    'nova.tests.functional.libvirt.test_numa_live_migration',
)

# Below these, all tests of a module that speaks of it.
WHOLE = (*FUNCTIONAL, 'nova.tests.functional.regressions.')

UNIT = {
    'nova.tests.unit.compute.test_compute': re.compile('live_?migrat', re.I),
    'nova.tests.unit.compute.test_compute_mgr': re.compile(
        'live_?migrat|max_concurrent_live|task_submit|cleanup_host|'
        'graceful_shutdown|init_host|test_reset_',
        re.I,
    ),
    'nova.tests.unit.virt.libvirt.test_driver': re.compile(
        'live_?migrat', re.I
    ),
}

# They compare with samples in Nova's doc/, which is not installed.
_SAMPLES = ('api_sample_tests', 'notification_sample_tests')

_ABOUT = re.compile('live_?migrat|os-migrateLive', re.I)
# What else a stop of ours bears upon, since 34.
_STOPS = re.compile('test_graceful_shutdown.*concurrent_operations')


def load() -> list[unittest.TestCase]:
    """Return the tests of this release, in a fixed order."""
    found = []
    for name in _functional():
        whole = name.startswith(WHOLE)
        found += [test for test in _tests(name) if whole or _speaks(test)]
    for name, pattern in UNIT.items():
        # Behind the module: its name says it of all.
        found += [
            test
            for test in _tests(name)
            if pattern.search(test.id().removeprefix(name))
        ]
    return sorted(found, key=lambda test: test.id())


def _functional() -> Iterator[str]:
    """Find the modules of functional tests that speak of live migration."""
    package = importlib.import_module('nova.tests.functional')
    folder = pathlib.Path(next(iter(package.__path__)))
    for path in sorted(folder.rglob('test_*.py')):
        parts = path.relative_to(folder).with_suffix('').parts
        if parts[0] not in _SAMPLES and _ABOUT.search(path.read_text()):
            yield '.'.join((package.__name__, *parts))


def _speaks(test: unittest.TestCase) -> object:
    """Tell whether a test, by its name or in what it does, is about it."""
    _, _, method = test.id().rpartition('.')
    return (
        _ABOUT.search(method)
        or _STOPS.search(test.id())
        or _ABOUT.search(inspect.getsource(getattr(test, method)))
    )


def _tests(module: str) -> list[unittest.TestCase]:
    return _flat(unittest.TestLoader().loadTestsFromName(module))


def _flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    tests: list[unittest.TestCase] = []
    for each in suite:
        tests += _flat(each) if hasattr(each, '__iter__') else [each]
    return tests
