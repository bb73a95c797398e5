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

"""Where everything of the lab is: directories, hosts and addresses.

All that the lab makes is below one directory: ``cache``, which outlives
``down``, and ``run``, which does not.
"""

import dataclasses
import functools
import json
import os
import pathlib
import secrets
from typing import Any

CONTROL = 'ctl'
DEFAULT_WORK = '/var/lib/nova-throttle-lab'
# How a process gets a host of its own, or is tried to get one.
UNSHARE = (
    'unshare',
    '--net',
    '--uts',
    '--mount',
    '--pid',
    '--fork',
    '--propagation',
    'private',
)
NETWORKS = {'mgmt': '10.99.0', 'mig': '10.99.1'}


@dataclasses.dataclass(frozen=True)
class Plan:
    """One lab.

    :param work: the directory of all that the lab makes.
    :param computes: how many compute hosts there are.
    """

    work: pathlib.Path
    computes: int = 3

    @property
    def checkout(self) -> pathlib.Path:
        """The source tree that this lab belongs to."""
        return self.home.parent

    @property
    def home(self) -> pathlib.Path:
        """The lab's own directory in the source tree."""
        return pathlib.Path(__file__).resolve().parents[1]

    @property
    def cache(self) -> pathlib.Path:
        """What is expensive to make and stays."""
        return self.work / 'cache'

    @property
    def run(self) -> pathlib.Path:
        """What is there while the lab is up."""
        return self.work / 'run'

    @property
    def logs(self) -> pathlib.Path:
        """Log files, one directory a host."""
        return self.run / 'logs'

    @property
    def nova_state(self) -> pathlib.Path:
        """Nova's state_path: one path, and on each host another directory.

        Disks have the same path on both ends of a live migration.
        """
        return self.run / 'nova'

    @property
    def shared_instances(self) -> pathlib.Path:
        """The disks of all guests, where the hosts share their storage."""
        return self.run / 'instances'

    @property
    def compute_hosts(self) -> list[str]:
        """The names of the compute hosts."""
        return [f'compute{n}' for n in range(1, self.computes + 1)]

    @property
    def all_hosts(self) -> list[str]:
        """The names of all hosts, the control plane's first."""
        return [CONTROL, *self.compute_hosts]

    def host_dir(self, host: str) -> pathlib.Path:
        """Return the directory of what belongs to one host."""
        return self.run / 'hosts' / host

    def venv(self, name: str) -> pathlib.Path:
        """Return a virtual environment: cloud, throttled or tempest."""
        return self.cache / 'venv' / name

    def address(self, host: str, network: str = 'mgmt') -> str:
        """Return the address of a host."""
        return f'{NETWORKS[network]}.{10 + index(host)}'

    def config(self, service: str, name: str) -> pathlib.Path:
        """Return the configuration file of a service."""
        return self.run / 'etc' / service / name

    @functools.cached_property
    def password(self) -> str:
        """The one password of this lab, made when it is first asked for."""
        path = self.run / 'password'
        if not path.exists():
            write_private(path, secrets.token_hex(16))
        return path.read_text()

    @property
    def mode(self) -> str:
        """What runs on the compute hosts: ``ours`` or ``plain``."""
        return str(self.recall().get('mode', 'ours'))

    def recall(self) -> dict[str, Any]:
        """Return what an earlier command remembered."""
        path = self.run / 'lab.json'
        if not path.exists():
            return {}
        state: dict[str, Any] = json.loads(path.read_text())
        return state

    def remember(self, **facts: Any) -> None:
        """Keep facts for later commands."""
        path = self.run / 'lab.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**self.recall(), **facts}))


def index(host: str) -> int:
    """Return the number of a host; the control plane's is 0."""
    return 0 if host == CONTROL else int(host.removeprefix('compute'))


def write_private(path: pathlib.Path, text: str) -> None:
    """Write a file that nobody else may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, 'w') as file:
        file.write(text)
