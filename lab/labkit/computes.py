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

"""Compute hosts: libvirtd and nova-compute, with nova-throttle or without."""

from collections.abc import Mapping
import contextlib
import datetime
import signal
from typing import Any

from labkit.cloud import Cloud
from labkit import config
from labkit import hosts
from labkit import network
from labkit.plan import Plan
from labkit import shell

PATIENCE = 300


def start_host(plan: Plan, host: str) -> None:
    """Make a compute host with its libvirtd, unless it runs."""
    hosts.start(plan, host)
    network.plug(plan, host)
    if hosts.processes(plan, host, 'libvirtd'):
        return
    config.write_libvirt(plan, host)
    hosts.daemon(plan, host, 'libvirtd', '/usr/sbin/libvirtd', '--listen')
    shell.wait_for(
        f'libvirtd on {host}',
        lambda: 'qemu' in virsh(plan, host, 'uri', check=False),
        PATIENCE,
    )


def stop_libvirtd(plan: Plan, host: str) -> None:
    """Stop libvirtd of a host in order; its guests go on."""
    word = 'sbin/libvirtd'
    hosts.kill(plan, host, word, number=signal.SIGTERM)
    with contextlib.suppress(shell.LabError):
        shell.wait_for(
            f'end of libvirtd on {host}',
            lambda: not hosts.processes(plan, host, word),
            15,
        )
    hosts.kill(plan, host, word)


def virsh(plan: Plan, host: str, *words: str, check: bool = True) -> str:
    """Run virsh on a host and return what it printed."""
    command = ('virsh', '-q', '-c', 'qemu:///system', *words)
    return hosts.run(plan, host, *command, check=check)


def domains(plan: Plan, host: str) -> dict[str, str]:
    """Return the states of the domains of a host, by name."""
    if not hosts.holder(plan, host):
        return {}
    lines = virsh(plan, host, 'list', '--all').splitlines()
    rows = [line.split(None, 2) for line in lines if line.strip()]
    return {row[1]: row[2].strip() for row in rows}


def configure(
    plan: Plan,
    host: str,
    plain: bool,
    limit: int = 1,
    shared: bool = False,
    **throttle: Any,
) -> None:
    """Write a host's nova.conf.

    :param shared: the hosts share the storage of their guests.
    :param throttle: options of [nova_throttle].
    """
    options: Mapping[str, Any] | None = None if plain else throttle
    config.write_compute(plan, host, limit, options, shared)


def throttled(plan: Plan, host: str) -> bool:
    """Whether the host is configured with nova-throttle."""
    path = plan.config('nova', f'{host}.conf')
    return path.exists() and '[nova_throttle]' in path.read_text()


def start(plan: Plan, host: str) -> None:
    """Start nova-compute of a host, unless it runs."""
    if hosts.processes(plan, host, 'bin/nova-compute'):
        return
    name = 'throttled' if throttled(plan, host) else 'cloud'
    venv = plan.venv(name)
    hosts.daemon(
        plan,
        host,
        'nova-compute',
        *(f'{venv}/bin/nova-compute', '--config-file'),
        str(plan.config('nova', f'{host}.conf')),
        PATH=f'{venv}/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin',
    )


def kill(plan: Plan, host: str) -> None:
    """End nova-compute of a host as kill -9 does."""
    pids = hosts.processes(plan, host, 'bin/nova-compute')
    hosts.kill(plan, host, 'bin/nova-compute', 'privsep-helper')
    _wait_end(plan, host, pids, 60)


def terminate(plan: Plan, host: str) -> None:
    """Tell nova-compute of a host to stop in order, and wait for it."""
    pids = hosts.processes(plan, host, 'bin/nova-compute')
    hosts.kill(plan, host, 'bin/nova-compute', number=signal.SIGTERM)
    _wait_end(plan, host, pids, PATIENCE)
    hosts.kill(plan, host, 'privsep-helper')


def _wait_end(plan: Plan, host: str, pids: list[int], seconds: float) -> None:
    """Wait for the end of these, not of what somebody starts meanwhile."""

    def ended() -> bool:
        runs = hosts.processes(plan, host, 'bin/nova-compute')
        return not set(pids) & set(runs)

    shell.wait_for(f'end of nova-compute on {host}', ended, seconds, every=0.1)


def restart(plan: Plan, cloud: Cloud, names: list[str]) -> None:
    """Kill nova-compute of some hosts, start it again and wait."""
    for host in names:
        kill(plan, host)
    begin = now()
    for host in names:
        start(plan, host)
    wait_up(plan, cloud, names, begin)


def now() -> datetime.datetime:
    """Return the time as Nova writes it."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def wait_up(
    plan: Plan,
    cloud: Cloud,
    names: list[str],
    begin: datetime.datetime,
) -> None:
    """Wait until nova-compute of some hosts has reported since ``begin``."""
    shell.wait_for(
        'nova-compute',
        lambda: have_reported(cloud, names, begin),
        PATIENCE,
        every=1,
    )
    for host in names:
        _check_active(plan, host)


def have_reported(
    cloud: Cloud, names: list[str], begin: datetime.datetime
) -> bool:
    """Whether nova-compute of some hosts has reported since ``begin``."""
    services = cloud.services()
    return all(
        host in services
        and services[host]['state'] == 'up'
        and _time(services[host]['updated_at']) > begin
        for host in names
    )


def _time(text: str | None) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text or '1970-01-01')


def _check_active(plan: Plan, host: str) -> None:
    """Check, as the administrator's guide says, that the throttle is on."""
    path = plan.logs / host / 'nova-compute.log'
    starts = path.read_text().split('Loaded VIF plugins')
    # The line is written just before that of the plugins.
    active = 'nova-throttle is active' in starts[-2]
    if active != throttled(plan, host):
        found = 'is' if active else 'is not'
        raise shell.LabError(f'nova-throttle {found} active on {host}')


def throttle(plan: Plan, host: str, *words: str) -> str:
    """Run the operator's command with a host's nova.conf."""
    return hosts.run(
        plan,
        host,
        str(plan.venv('throttled') / 'bin/nova-throttle'),
        *('--config-file', str(plan.config('nova', f'{host}.conf'))),
        *words,
    )
