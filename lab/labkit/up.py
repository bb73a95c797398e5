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

"""From nothing to a cloud, and back to nothing."""

from labkit import checks
from labkit.cloud import Cloud
from labkit import computes
from labkit import config
from labkit import control
from labkit import guest
from labkit import hosts
from labkit import metrics
from labkit import network
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import seed
from labkit import shell
from labkit import software
from labkit.stage import Stage


def up(plan: Plan, plain: bool) -> None:
    """Build what is missing and start what does not run."""
    checks.check_machine(plan)
    (plan.cache / 'guest').mkdir(parents=True, exist_ok=True)
    plan.logs.mkdir(parents=True, exist_ok=True)
    renewed = install(plan, plain)
    checks.check_machine(plan)
    _start_hosts(plan)
    shell.say('Starting the control plane')
    config.write_control(plan)
    config.write_openrc(plan)
    metrics.write(plan)
    control.start_identity(plan)
    cloud = Cloud(plan)
    seed.make_identity(plan, cloud)
    control.start_services(plan)
    seed.make_guests(plan, cloud)
    if renewed:
        for host in plan.compute_hosts:
            computes.kill(plan, host)
    _start_computes(plan, cloud, plain)
    plan.remember(mode='plain' if plain else 'ours', computes=plan.computes)
    shell.say(f'Up: {plan.computes} compute hosts; try: lab run queue')


def install(plan: Plan, plain: bool) -> bool:
    """Install and build everything.

    :returns: whether nova-throttle is another one than before.
    """
    software.install_packages(plan)
    software.make_cloud(plan)
    guest.kernel(plan)
    guest.initrd(plan)
    return not plain and software.make_throttled(plan)


def _start_hosts(plan: Plan) -> None:
    shell.say('Making the hosts')
    network.write_names(plan)
    fresh = not hosts.holder(plan, CONTROL)
    hosts.start(plan, CONTROL)
    if fresh:
        network.make_bridges(plan)
    for host in plan.compute_hosts:
        computes.start_host(plan, host)
    network.shape(plan, '200mbit')


def _start_computes(plan: Plan, cloud: Cloud, plain: bool) -> None:
    Stage(plan, cloud, plain).set()
    control.manage(plan, 'nova', 'cell_v2', 'discover_hosts')


def down(plan: Plan) -> None:
    """End everything; only the cache stays."""
    checks.check_root()
    hosts.remove_all(plan)
    shell.say(f'Down; the cache stays in {plan.cache}')


def status(plan: Plan) -> list[tuple[str, str]]:
    """Return what runs, in words, host by host."""
    rows = []
    for host in plan.all_hosts:
        if not hosts.holder(plan, host):
            rows.append((host, 'down'))
        elif host == CONTROL:
            rows.append((host, f'{_services(plan)} services'))
        else:
            rows.append((host, _compute_status(plan, host)))
    return rows


def _services(plan: Plan) -> int:
    words = (
        *('mariadbd', 'beam.smp', 'bin/nova-conductor', 'bin/nova-scheduler'),
        *(f'--module\0{module}' for module in control.APIS.values()),
    )
    return sum(bool(hosts.processes(plan, CONTROL, word)) for word in words)


def _compute_status(plan: Plan, host: str) -> str:
    runs = hosts.processes(plan, host, 'bin/nova-compute')
    name = 'nova-throttle' if computes.throttled(plan, host) else 'plain Nova'
    state = name if runs else 'no nova-compute'
    count = len(computes.domains(plan, host))
    return f'{state}, {count} guests'
