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

"""Hosts: a network, UTS, mount and PID namespace each.

Process 1 of a host holds its namespaces. When it dies, the kernel ends every
process of the host, and mounts, links and sockets go with it.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from labkit import plan as plans
from labkit.plan import Plan
from labkit import shell

# Debian's paths that every host has for itself, and the directories that
# stand in for them.
OWN_PATHS = {
    '/etc/libvirt': 'etc-libvirt',
    '/var/cache/libvirt': 'var-cache-libvirt',
    '/var/lib/libvirt': 'var-lib-libvirt',
    '/var/lib/mysql': 'var-lib-mysql',
    '/var/lib/rabbitmq': 'var-lib-rabbitmq',
    '/var/log/libvirt': 'var-log-libvirt',
}


def start(plan: Plan, host: str) -> None:
    """Make a host, unless it is there."""
    if holder(plan, host):
        return
    home = plan.host_dir(host)
    for name in [*OWN_PATHS.values(), 'nova/instances']:
        (home / name).mkdir(parents=True, exist_ok=True)
    for path in (plan.nova_state, plan.logs / host):
        path.mkdir(parents=True, exist_ok=True)
    _write_machine_id(plan, host)
    ready = home / 'ready'
    ready.unlink(missing_ok=True)
    outer = _unshare(plan, host)
    shell.wait_for(f'host {host}', ready.exists, 30, every=0.05)
    inner = shell.run('pgrep', '-P', str(outer)).split()[0]
    (home / 'holder.pid').write_text(inner)


def _write_machine_id(plan: Plan, host: str) -> None:
    number = 0x1AB000 + plans.index(host)
    (plan.host_dir(host) / 'machine-id').write_text(f'{number:032x}\n')


def _unshare(plan: Plan, host: str) -> int:
    home = plan.host_dir(host)
    pairs = [f'{home / own}:{path}' for path, own in OWN_PATHS.items()]
    pairs += [
        f'{home / "nova"}:{plan.nova_state}',
        f'{home / "machine-id"}:/etc/machine-id',
        f'{plan.run / "etc-hosts"}:/etc/hosts',
    ]
    command = [*plans.UNSHARE, '--kill-child']
    with (plan.logs / host / 'host.log').open('a') as log:
        process = subprocess.Popen(
            [*command, plan.home / 'host.sh', host, home, *pairs],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return process.pid


def holder(plan: Plan, host: str) -> int | None:
    """Return process 1 of a host, as seen from outside, if it lives."""
    try:
        pid = int((plan.host_dir(host) / 'holder.pid').read_text())
        command = pathlib.Path(f'/proc/{pid}/cmdline').read_text()
    except (OSError, ValueError):
        return None
    return pid if str(plan.host_dir(host)) in command else None


def inside(plan: Plan, host: str, *command: str) -> list[str]:
    """Return the command that runs another one inside a host.

    :raises LabError: there is no such host.
    """
    pid = holder(plan, host)
    if not pid:
        raise shell.LabError(f'host {host} does not run: lab up')
    return ['nsenter', '-t', str(pid), '-m', '-u', '-n', '-p', *command]


def run(plan: Plan, host: str, *command: str, check: bool = True) -> str:
    """Run a command inside a host and return what it printed."""
    return shell.run(*inside(plan, host, *command), check=check)


def daemon(
    plan: Plan, host: str, name: str, *command: str, **env: str
) -> None:
    """Start a program inside a host that outlives this one."""
    with (plan.logs / host / f'{name}.out').open('a') as log:
        # It belongs to process 1 of the host, which reaps it.
        subprocess.run(
            inside(plan, host, 'setsid', '--fork', *command),
            check=True,
            env={**os.environ, 'PYTHONWARNINGS': 'ignore', **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def processes(plan: Plan, host: str, *words: str) -> list[int]:
    """Return the processes of a host whose command has one of the words.

    Not process 1, whose command names all that the host has of its own.
    """
    pid = holder(plan, host)
    if not pid:
        return []
    namespace = os.readlink(f'/proc/{pid}/ns/pid')
    return [
        int(path.name)
        for path in pathlib.Path('/proc').glob('[0-9]*')
        if int(path.name) != pid and _belongs(path, namespace, words)
    ]


def _belongs(
    path: pathlib.Path, namespace: str, words: tuple[str, ...]
) -> bool:
    try:
        if os.readlink(path / 'ns/pid') != namespace:
            return False
        command = (path / 'cmdline').read_text(errors='replace')
    except OSError:
        return False
    return any(word in command for word in words)


def kill(
    plan: Plan, host: str, *words: str, number: int = signal.SIGKILL
) -> None:
    """Send a signal to processes of a host, found by their commands."""
    for pid in processes(plan, host, *words):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def crash(plan: Plan, host: str) -> None:
    """End a host as a power failure does: everything at once."""
    pid = holder(plan, host)
    if not pid:
        return
    namespace = os.readlink(f'/proc/{pid}/ns/pid')
    _end_helpers(pid)
    os.kill(pid, signal.SIGKILL)
    shell.wait_for(
        f'end of host {host}', lambda: not _any_in(namespace), 60, every=0.1
    )
    (plan.host_dir(host) / 'holder.pid').unlink()


def _end_helpers(pid: int) -> None:
    """End who entered a host from outside and waits for a process there.

    One that stands still would keep its process, and so the whole host.
    """
    words = f'nsenter\0-t\0{pid}\0'
    for path in pathlib.Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if words in (path / 'cmdline').read_text(errors='replace'):
                os.kill(int(path.name), signal.SIGKILL)


def _any_in(namespace: str) -> bool:
    return any(
        _belongs(path, namespace, ('',))
        for path in pathlib.Path('/proc').glob('[0-9]*')
    )


def remove_all(plan: Plan) -> None:
    """End all hosts and remove everything but the cache."""
    failed = []
    for path in (plan.run / 'hosts').glob('*'):
        try:
            crash(plan, path.name)
        except shell.LabError as error:
            failed.append(str(error))
    if failed:
        raise shell.LabError('; '.join(failed))
    if plan.run.exists():
        shutil.rmtree(plan.run)
