# SPDX-License-Identifier: Apache-2.0

"""Tests. Those in tempest have a runner of their own, which we lack."""

import pathlib

_HERE = pathlib.Path(__file__).parent


def load_tests(loader, tests, pattern):
    """Find the unit and functional tests, for who looks from here."""
    for name in ('unit', 'functional'):
        tests.addTests(
            loader.discover(
                str(_HERE / name),
                pattern=pattern or 'test*.py',
                top_level_dir=str(_HERE.parent.parent),
            )
        )
    return tests
