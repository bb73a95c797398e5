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

"""What the machine must have: said before anything is made.

Each check returns the line for a person, or nothing.
"""

from collections.abc import Callable
import os
import pathlib
import shutil
import subprocess
import sys

from labkit.plan import Plan
from labkit.plan import UNSHARE
from labkit import shell

DISK_GIB = 6
MEMORY_GIB = 5


def check_machine(plan: Plan) -> None:
    """Check that a lab can be made here.

    :raises LabError: it can't; the message is the first reason.
    """
    checks: tuple[Callable[[Plan], str], ...] = (
        _system,
        _root,
        _python,
        _namespaces,
        _disk,
        _memory,
    )
    for check in checks:
        complaint = check(plan)
        if complaint:
            raise shell.LabError(complaint)


def check_root() -> None:
    """Check that we are root on Linux, which everything here needs."""
    if complaint := _system(None) or _root(None):
        raise shell.LabError(complaint)


def _system(_plan: Plan | None) -> str:
    return '' if sys.platform == 'linux' else 'the lab needs Linux'


def _root(_plan: Plan | None) -> str:
    return '' if os.geteuid() == 0 else 'the lab needs root: try sudo'


def _python(_plan: Plan) -> str:
    fine = sys.version_info >= (3, 11)
    return '' if fine else 'the lab needs Python 3.11 or newer'


def _namespaces(_plan: Plan) -> str:
    script = (
        'mount -t sysfs sysfs /sys && ip link add lab0 type veth '
        'peer name lab1 && ip link add lab2 type bridge && '
        'tc qdisc add dev lab0 root tbf rate 1mbit burst 32kb latency 50ms'
    )
    if not shutil.which('ip'):
        return ''  # Comes with the packages; checked again after them.
    result = subprocess.run(
        [*UNSHARE, 'sh', '-c', script], capture_output=True, text=True
    )
    if result.returncode == 0:
        return ''
    lines = result.stderr.strip().splitlines() or ['no reason given']
    return f'no rights for namespaces, veth, bridge or tbf: {lines[-1]}'


def _disk(plan: Plan) -> str:
    place = plan.work
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free >> 30
    if free >= DISK_GIB:
        return ''
    return f'{place} has {free} GiB free; the lab needs {DISK_GIB}'


def _memory(_plan: Plan) -> str:
    lines = pathlib.Path('/proc/meminfo').read_text().splitlines()
    facts = dict(line.split(':', 1) for line in lines)
    total = int(facts['MemTotal'].split()[0]) >> 20
    if total >= MEMORY_GIB:
        return ''
    return f'{total} GiB of memory; the lab needs {MEMORY_GIB}'
