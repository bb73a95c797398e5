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
