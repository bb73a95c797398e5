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

"""The networks between hosts: management, and migration with a rate.

Bridges live in the control host's network namespace; nothing is added to the
machine's own.
"""

from labkit import hosts
from labkit import plan as plans
from labkit.plan import CONTROL
from labkit.plan import NETWORKS
from labkit.plan import Plan
from labkit import shell


def write_names(plan: Plan) -> None:
    """Write the hosts file that all hosts share."""
    lines = ['127.0.0.1 localhost']
    lines += [f'{plan.address(host)} {host}' for host in plan.all_hosts]
    lines += [
        f'{plan.address(host, "mig")} {host}-mig'
        for host in plan.compute_hosts
    ]
    path = plan.run / 'etc-hosts'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def make_bridges(plan: Plan) -> None:
    """Make the bridge of each network, in the control host."""
    for network in NETWORKS:
        _ip(plan, CONTROL, f'link add br-{network} type bridge')
        _ip(plan, CONTROL, f'link set br-{network} up')
    _ip(plan, CONTROL, f'addr add {plan.address(CONTROL)}/24 dev br-mgmt')


def plug(plan: Plan, host: str) -> None:
    """Connect a host to both networks, unless it is."""
    if 'mgmt' in hosts.run(plan, host, 'ip', '-br', 'link'):
        return
    number = plans.index(host)
    for network in NETWORKS:
        port = f'v{network}{number}'
        # A host that died may have left its end here for a moment.
        hosts.run(plan, CONTROL, 'ip', 'link', 'del', port, check=False)
        _ip(
            plan,
            CONTROL,
            f'link add {port} type veth peer name {network} '
            f'netns {hosts.holder(plan, host)}',
            network_only=True,
        )
        _ip(plan, CONTROL, f'link set {port} master br-{network} up')
        _ip(plan, host, f'link set {network} up')
        address = plan.address(host, network)
        _ip(plan, host, f'addr add {address}/24 dev {network}')


def _ip(plan: Plan, host: str, words: str, network_only: bool = False) -> None:
    if not network_only:
        hosts.run(plan, host, 'ip', *words.split())
        return
    # Process ids in the words are those of outside.
    pid = str(hosts.holder(plan, host))
    shell.run('nsenter', '-t', pid, '-n', 'ip', *words.split())


def switch(plan: Plan, host: str, network: str, state: str) -> None:
    """Switch the port that a host has in a network up or down."""
    _ip(plan, CONTROL, f'link set v{network}{plans.index(host)} {state}')


def shape(plan: Plan, rate: str) -> None:
    """Give each compute host's migration link a rate, both ways.

    :param rate: as tc has it, such as ``200mbit``, or ``off``.
    """
    for host in plan.compute_hosts:
        if not hosts.holder(plan, host):
            continue
        _shape(plan, host, 'mig', rate)
        _shape(plan, CONTROL, f'vmig{plans.index(host)}', rate)
    plan.remember(rate=rate)


def _shape(plan: Plan, host: str, device: str, rate: str) -> None:
    words = f'qdisc del dev {device} root'
    hosts.run(plan, host, 'tc', *words.split(), check=False)
    if rate != 'off':
        words = (
            f'qdisc add dev {device} root tbf '
            f'rate {rate} burst 128kb latency 100ms'
        )
        hosts.run(plan, host, 'tc', *words.split())
