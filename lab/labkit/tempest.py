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

"""Tempest: our plugin's tests, and its own of live migration.

The plugin must be told the limits, so that each set of limits is a run.
"""

import dataclasses
import os
import subprocess

from labkit.cloud import Cloud
from labkit import config
from labkit import network
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit.plan import write_private
from labkit import seed
from labkit import shell
from labkit import software
from labkit.stage import Stage

NAME = 'lab'
OWN = 'nova_throttle.tests.tempest'
NOVA = 'tempest.api.compute.admin.test_live_migration'


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of tempest.

    :param tests: a regular expression that picks them.
    """

    tests: str
    source_limit: int
    destination_limit: int
    rate: str


RUNS = (
    Run(f'{OWN}|{NOVA}', 2, 1, '200mbit'),
    Run(f'{OWN}.*UnlimitedTest', 0, 0, '200mbit'),
)


def run(plan: Plan, plain: bool, words: list[str]) -> int:
    """Run tempest.

    :param words: regular expressions; only the runs with such tests.
    :returns: the highest exit status.
    """
    software.make_tempest(plan)
    cloud = Cloud(plan)
    stage = Stage(plan, cloud, plain)
    stage.clean()
    runs: tuple[Run, ...] = RUNS
    if words:
        tests = '|'.join(words)
        number = 1 if 'Unlimited' in tests else 0
        runs = (dataclasses.replace(RUNS[number], tests=tests),)
    return max(_run(stage, one) for one in runs)


def _run(stage: Stage, one: Run) -> int:
    stage.set(
        limit=one.source_limit,
        rate=one.rate,
        max_incoming_live_migrations=one.destination_limit,
    )
    place = stage.plan.run / 'tempest'
    workspace = ('--workspace-path', str(place.with_suffix('.yaml')))
    if not (place / '.stestr.conf').exists():
        _tempest(stage.plan, 'init', *workspace, '--name', NAME, str(place))
    text = _configuration(stage.plan, stage.cloud, one)
    write_private(place / 'etc/tempest.conf', text)
    shell.say(
        f'tempest with limit {one.source_limit}, '
        f'destination limit {one.destination_limit}'
    )
    network.shape(stage.plan, one.rate)
    return _tempest(
        stage.plan,
        *('run', *workspace, '--workspace', NAME),
        *('--serial', '--regex', one.tests),
        check=False,
    )


def _tempest(plan: Plan, *words: str, check: bool = True) -> int:
    # Cloud() has brought us into the network of the control host.
    status = subprocess.call(
        [plan.venv('tempest') / 'bin/tempest', *words],
        # It keeps things in the home directory.
        env={**os.environ, 'HOME': str(plan.run)},
        cwd=plan.run / 'tempest' if words[0] == 'run' else plan.run,
    )
    if check and status:
        raise shell.LabError(f'tempest {words[0]} failed with {status}')
    return status


def _configuration(plan: Plan, cloud: Cloud, one: Run) -> str:
    sections: dict[str, dict[str, object]] = {
        'DEFAULT': {'log_file': plan.logs / CONTROL / 'tempest.log'},
        'auth': {
            'admin_username': 'admin',
            'admin_password': plan.password,
            'admin_project_name': 'admin',
            'admin_domain_name': 'Default',
            'create_isolated_networks': 'false',
        },
        'identity': {
            'uri_v3': f'{config.url(plan, "keystone")}/v3',
            'auth_version': 'v3',
        },
        **_compute(cloud),
        'network': {
            'project_networks_reachable': 'false',
            'public_network_id': '',
        },
        # No agent here serves trunks.
        'network-feature-enabled': {'api_extensions': 'router,binding'},
        'service_available': {'cinder': 'false', 'swift': 'false'},
        'validation': {'run_validation': 'false'},
        'oslo_concurrency': {'lock_path': plan.run / 'tempest/lock'},
        'nova_throttle': {
            'source_limit': one.source_limit,
            'destination_limit': one.destination_limit,
        },
    }
    lines = []
    for section, options in sections.items():
        lines.append(f'[{section}]')
        lines += [f'{name} = {value}' for name, value in options.items()]
    return '\n'.join(lines) + '\n'


def _compute(cloud: Cloud) -> dict[str, dict[str, object]]:
    flavors = [
        seed.find(cloud, 'nova', 'flavor', name)
        for name in (seed.FLAVOR, f'{seed.FLAVOR}-2')
    ]
    return {
        'compute': {
            'image_ref': seed.find(cloud, 'glance', 'image', 'dirty2'),
            'image_ref_alt': seed.find(cloud, 'glance', 'image', 'idle'),
            'flavor_ref': flavors[0],
            'flavor_ref_alt': flavors[1],
            'fixed_network_name': seed.NETWORK,
            'min_compute_nodes': 3,
            'max_microversion': 'latest',
            'build_timeout': 600,
        },
        'compute-feature-enabled': {
            'live_migration': 'true',
            'block_migration_for_live_migration': 'true',
            'can_migrate_between_any_hosts': 'true',
            'vnc_console': 'false',
            'config_drive': 'false',
        },
    }
