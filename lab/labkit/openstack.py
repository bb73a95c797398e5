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

"""The user's own command, ``openstack``."""

import shlex

from labkit import hosts
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import shell


def run(plan: Plan, *words: str, check: bool = True) -> str:
    """Run ``openstack`` as the administrator and return what it printed."""
    command = str(plan.venv('cloud') / 'bin/openstack')
    return shell.run(
        *hosts.inside(plan, CONTROL, command, *words),
        env={'PYTHONWARNINGS': 'ignore', **credentials(plan)},
        check=check,
    )


def credentials(plan: Plan) -> dict[str, str]:
    """Return what is in openrc."""
    lines = shlex.split((plan.run / 'openrc').read_text())
    return dict(line.split('=', 1) for line in lines if '=' in line)
