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

"""Software of the lab: Debian's packages and Python environments.

Everything is made once and kept in the cache. An environment is complete when
its marker is there; the marker names what it was made from.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

from labkit.plan import Plan
from labkit import shell

# QEMU before 9 corrupts guests that write memory while they migrate under
# TCG, so QEMU and libvirt come from backports.
BACKPORTS = (
    'libvirt-clients',
    'libvirt-daemon',
    'libvirt-daemon-driver-qemu',
    'libvirt-daemon-system',
    'libvirt-dev',
    'qemu-system-x86',
    'qemu-utils',
)
PACKAGES = (
    'build-essential',
    'busybox-static',
    'cpio',
    'dmidecode',
    'git',
    'iproute2',
    'mariadb-server',
    'pkg-config',
    'procps',
    'python3-dev',
    'python3-venv',
    'rabbitmq-server',
    'util-linux',
)
SOURCES = pathlib.Path('/etc/apt/sources.list.d/nova-throttle-lab.sources')
NO_START = pathlib.Path('/usr/sbin/policy-rc.d')


def install_packages(plan: Plan) -> None:
    """Install what is missing of Debian's packages."""
    if _qemu_is_new() and not _missing():
        return
    if not shutil.which('apt-get'):
        raise shell.LabError('the lab installs packages with apt: use Debian')
    shell.say('Installing packages')
    log = plan.logs / 'apt.log'
    SOURCES.write_text(
        'Types: deb\nURIs: http://deb.debian.org/debian\n'
        'Suites: bookworm-backports\nComponents: main\n'
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n'
    )
    started = _forbid_services()
    try:
        apt = ('apt-get', '-q', '-o', 'Dpkg::Use-Pty=0')
        install = (*apt, 'install', '-y', '--no-install-recommends')
        env = {'DEBIAN_FRONTEND': 'noninteractive'}
        shell.run(*apt, 'update', env=env, log=log)
        shell.run(
            *install, '-t', 'bookworm-backports', *BACKPORTS, env=env, log=log
        )
        shell.run(*install, *PACKAGES, env=env, log=log)
    finally:
        if started:
            NO_START.unlink()


def _qemu_is_new() -> bool:
    program = shutil.which('qemu-system-x86_64')
    if not program:
        return False
    found = re.search(r'version (\d+)', shell.run(program, '--version'))
    return found is not None and int(found[1]) >= 9


def _missing() -> bool:
    result = subprocess.run(
        ['dpkg-query', '-W', '-f', '${db:Status-Status}\\n']
        + [*BACKPORTS, *PACKAGES],
        capture_output=True,
        text=True,
    )
    return bool(result.returncode) or 'not-installed' in result.stdout


def _forbid_services() -> bool:
    """Keep the packages from starting services on the machine itself."""
    if NO_START.exists():
        return False
    NO_START.write_text('#!/bin/sh\nexit 101\n')
    NO_START.chmod(0o755)
    return True


def make_cloud(plan: Plan) -> None:
    """Make the environment of the control plane and of a plain compute."""
    _make(plan, 'cloud', '-r', str(plan.home / 'requirements.txt'))
    ours = (plan.home / 'mech/labmech.py').read_text()
    installed = plan.venv('cloud').glob('lib/*/site-packages/labmech.py')
    if any(path.read_text() == ours for path in installed):
        return
    source = plan.cache / 'mech'
    shutil.copytree(plan.home / 'mech', source, dirs_exist_ok=True)
    log = plan.logs / 'pip.log'
    pip = plan.venv('cloud') / 'bin/pip'
    words = ('install', '-q', '--no-deps', '--force-reinstall')
    shell.run(pip, *words, source, log=log)
    shutil.rmtree(source)


def make_throttled(plan: Plan) -> bool:
    """Make the environment of a compute host with nova-throttle.

    What the administrator's guide says: a wheel, built once in a checkout,
    installed with the pip of nova-compute's environment.

    :returns: whether it is another one than before.
    """
    wheel = build_wheel(plan)
    needs = ('libvirt-python', 'nova', 'pymysql', 'python-memcached', 'pip')
    _make(plan, 'throttled', *needs)
    marker = plan.venv('throttled') / 'wheel'
    digest = _content(wheel)
    if marker.exists() and marker.read_text() == digest:
        return False
    shell.say(f'Installing {wheel.name} beside Nova')
    shell.run(
        plan.venv('throttled') / 'bin/pip',
        *('install', '-q', '--force-reinstall', '--no-deps', str(wheel)),
        log=plan.logs / 'pip.log',
    )
    shell.run(plan.venv('throttled') / 'bin/pip', 'check')
    marker.write_text(digest)
    return True


def make_tempest(plan: Plan) -> None:
    """Make tempest's environment, with our plugin in it."""
    _make(plan, 'tempest', 'tempest', 'pip')
    wheel = build_wheel(plan)
    shell.run(
        plan.venv('tempest') / 'bin/pip',
        *('install', '-q', '--force-reinstall', '--no-deps', str(wheel)),
        log=plan.logs / 'pip.log',
    )


def build_wheel(plan: Plan) -> pathlib.Path:
    """Build the checkout's wheel.

    :returns: the file.
    """
    _make(plan, 'build', 'pip')
    place = plan.cache / 'wheel'
    shutil.rmtree(place, ignore_errors=True)
    env = _copy_tree(plan.checkout, place / 'source')
    shell.run(
        plan.venv('build') / 'bin/pip',
        *('wheel', '-q', '--no-deps', '-w', str(place), '.'),
        cwd=place / 'source',
        env=env,
        log=plan.logs / 'pip.log',
    )
    return next(place.glob('nova_throttle-*.whl'))


def _copy_tree(checkout: pathlib.Path, copy: pathlib.Path) -> dict[str, str]:
    """Copy what git would: a build leaves files in the tree it works on.

    :returns: what the environment must have for the build.
    """
    if not (checkout / '.git').exists():
        shutil.copytree(checkout, copy)
        return {'PBR_VERSION': '0.1.0.dev0'}
    # git refuses to read a tree that belongs to another user.
    env = {
        'GIT_CONFIG_COUNT': '1',
        'GIT_CONFIG_KEY_0': 'safe.directory',
        'GIT_CONFIG_VALUE_0': '*',
    }
    shell.run('git', 'clone', '-q', checkout, copy, env=env)
    words = ('ls-files', '-co', '--exclude-standard')
    for name in shell.run('git', *words, cwd=checkout, env=env).splitlines():
        if (checkout / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, copy / name)
    return env


def _make(plan: Plan, name: str, *packages: str) -> None:
    """Make an environment of packages, unless there is one of the same."""
    place = plan.venv(name)
    constraints = plan.home / 'constraints.txt'
    digest = _digest(
        constraints.read_bytes(),
        (plan.home / 'requirements.txt').read_bytes(),
        repr((packages, sys.version_info[:3])).encode(),
    )
    marker = place / 'made-from'
    if marker.exists() and marker.read_text() == digest:
        return
    shell.say(f'Making the Python environment {name}')
    shutil.rmtree(place, ignore_errors=True)
    log = plan.logs / 'pip.log'
    shell.run(sys.executable, '-m', 'venv', place, log=log)
    shell.run(
        *_installer(plan, place),
        *('-c', str(constraints), *packages),
        log=log,
    )
    marker.write_text(digest)


def _installer(plan: Plan, place: pathlib.Path) -> list[str]:
    """Return the words of uv, which is much faster, or those of pip."""
    tools = plan.venv('uv')
    if not (tools / 'bin/uv').exists():
        shell.run(sys.executable, '-m', 'venv', tools)
        shell.run(
            *(tools / 'bin/pip', 'install', '-q', 'uv'),
            log=plan.logs / 'pip.log',
            check=False,
        )
    if not (tools / 'bin/uv').exists():
        return [str(place / 'bin/pip'), 'install', '-q']
    # uv has certificates of its own; those of the machine may be others.
    os.environ.setdefault('UV_SYSTEM_CERTS', '1')
    command = f'{tools}/bin/uv pip install -q --python {place}/bin/python'
    return command.split()


def _content(wheel: pathlib.Path) -> str:
    """Return what stands for a wheel's content, whenever it was built."""
    with zipfile.ZipFile(wheel) as archive:
        facts = [(info.filename, info.CRC) for info in archive.infolist()]
    return _digest(repr(sorted(facts)).encode())


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b'\0'.join(parts)).hexdigest()
