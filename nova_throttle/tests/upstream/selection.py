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

"""Which of Nova's tests are about live migration.

Whole modules of functional tests, some of others, and those unit tests of the
compute manager and the libvirt driver whose names say so or that test a hook
we override.
"""

import importlib.util
import pathlib
import re
import unittest

FUNCTIONAL = (
    'nova.tests.functional.compute.test_live_migration',
    'nova.tests.functional.libvirt.test_live_migration',
    'nova.tests.functional.libvirt.test_numa_live_migration',
)

# Some of a module that has others too.
SOME = {
    # Since 34.
    'nova.tests.functional.test_graceful_shutdown': re.compile(
        'live_migration|concurrent_operations'
    ),
    'nova.tests.functional.test_server_group': re.compile('LiveMigration'),
    'nova.tests.functional.test_servers': re.compile('ServerLiveMigrate'),
}

REGRESSIONS = 'nova.tests.functional.regressions'

UNIT = {
    'nova.tests.unit.compute.test_compute': re.compile('live_?migrat', re.I),
    'nova.tests.unit.compute.test_compute_mgr': re.compile(
        'live_?migrat|cleanup_host|graceful_shutdown|init_host|test_reset_',
        re.I,
    ),
    'nova.tests.unit.virt.libvirt.test_driver': re.compile(
        'live_?migrat', re.I
    ),
}

_ABOUT = re.compile('live_migrate|live_migration|os-migrateLive')


def load() -> list[unittest.TestCase]:
    """Return the tests of this release, in a fixed order."""
    found = []
    for name in (*FUNCTIONAL, *_regressions()):
        found += _tests(name, re.compile(''))
    for name, pattern in (*SOME.items(), *UNIT.items()):
        if importlib.util.find_spec(name):
            found += _tests(name, pattern)
    return sorted(found, key=lambda test: test.id())


def _regressions() -> list[str]:
    package = importlib.import_module(REGRESSIONS)
    folder = pathlib.Path(next(iter(package.__path__)))
    return [
        f'{REGRESSIONS}.{path.stem}'
        for path in sorted(folder.glob('test_*.py'))
        if _ABOUT.search(path.read_text())
    ]


def _tests(module: str, pattern: re.Pattern[str]) -> list[unittest.TestCase]:
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromName(module)
    return [
        test
        for test in _flat(suite)
        # Behind the module: its name says it of all.
        if pattern.search(test.id().removeprefix(module))
    ]


def _flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    tests: list[unittest.TestCase] = []
    for each in suite:
        tests += _flat(each) if hasattr(each, '__iter__') else [each]
    return tests
