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

"""What a fresh cloud needs: users, endpoints, a network, flavors, images.

Everything is made only if it is not there.
"""

from collections.abc import Callable
from typing import Any

from labkit import cloud as clouds
from labkit.cloud import Cloud
from labkit import config
from labkit import guest
from labkit.plan import Plan

TYPES = {
    'nova': 'compute',
    'placement': 'placement',
    'glance': 'image',
    'neutron': 'network',
}
# Image name -> working set in MiB and KiB/s written.
GUESTS = {
    'idle': (0, 0),
    'dirty1': (32, 1024),
    'dirty2': (32, 2048),
    'dirty3': (32, 3072),
    'dirty4': (32, 4096),
    'dirty12': (32, 12288),
}
FLAVOR = 'tiny'
NETWORK = 'net'


def make_identity(plan: Plan, cloud: Cloud) -> None:
    """Make the services' users and endpoints."""
    roles = {
        role['name']: role['id']
        for role in cloud.get('keystone', '/roles')['roles']
    }
    if 'service' not in roles:
        roles['service'] = _make(cloud, 'keystone', 'role', name='service')
    projects = cloud.get('keystone', '/projects?name=service')['projects']
    if projects:
        return
    project = _make(cloud, 'keystone', 'project', name='service')
    for name, kind in TYPES.items():
        user = _make(
            cloud, 'keystone', 'user', name=name, password=plan.password
        )
        for role in ('admin', 'service'):
            path = f'/projects/{project}/users/{user}/roles/{roles[role]}'
            cloud.ask('keystone', 'PUT', path)
        _make_endpoints(plan, cloud, name, kind)


def _make_endpoints(plan: Plan, cloud: Cloud, name: str, kind: str) -> None:
    service = _make(cloud, 'keystone', 'service', name=name, type=kind)
    suffix = '/v2.1' if name == 'nova' else ''
    for interface in ('public', 'internal', 'admin'):
        _make(
            cloud,
            'keystone',
            'endpoint',
            service_id=service,
            interface=interface,
            url=config.url(plan, name) + suffix,
            region_id='RegionOne',
        )


def _make(cloud: Cloud, service: str, kind: str, **facts: Any) -> str:
    answer = cloud.ask(service, 'POST', f'/{kind}s', {kind: facts})
    return str(answer[kind]['id'])


def make_guests(plan: Plan, cloud: Cloud) -> None:
    """Make the network, the flavor and the images of the guests."""
    # neutron 29 answers 500 if its first request is not for networks.
    if not cloud.get('neutron', f'/networks?name={NETWORK}')['networks']:
        network = _make(cloud, 'neutron', 'network', name=NETWORK, shared=True)
        _make(
            cloud,
            'neutron',
            'subnet',
            network_id=network,
            cidr='192.168.50.0/24',
            ip_version=4,
            enable_dhcp=False,
        )
    flavors = cloud.get('nova', '/flavors')['flavors']
    for name in (FLAVOR, f'{FLAVOR}-2'):
        if not any(flavor['name'] == name for flavor in flavors):
            _make(cloud, 'nova', 'flavor', name=name, ram=128, vcpus=1, disk=0)
    _make_images(plan, cloud)


def _make_images(plan: Plan, cloud: Cloud) -> None:
    kernel = _image(cloud, 'kernel', 'aki', guest.kernel(plan).read_bytes)
    initrd = _image(cloud, 'initrd', 'ari', guest.initrd(plan).read_bytes)
    for name, (size, rate) in GUESTS.items():
        _image(
            cloud,
            name,
            'raw',
            lambda: bytes(1 << 20),
            kernel_id=kernel,
            ramdisk_id=initrd,
            hw_machine_type='pc',
            hw_video_model='vga',
            os_command_line='console=ttyS0 quiet panic=-1 '
            f'dirty_mb={size} dirty_kbps={rate}',
        )


def _image(
    cloud: Cloud,
    name: str,
    kind: str,
    content: Callable[[], bytes],
    **properties: str,
) -> str:
    found = cloud.get('glance', f'/images?name={name}')['images']
    if found:
        return str(found[0]['id'])
    facts = {
        'name': name,
        'disk_format': kind,
        'container_format': 'bare' if kind == 'raw' else kind,
        'visibility': 'public',
        **properties,
    }
    image = str(cloud.ask('glance', 'POST', '/images', facts)['id'])
    cloud.ask(
        'glance',
        'PUT',
        f'/images/{image}/file',
        content(),
        clouds.RAW,
    )
    return image


def find(cloud: Cloud, service: str, kind: str, name: str) -> str:
    """Return the id of an image, a flavor or a network by its name."""
    for item in cloud.get(service, f'/{kind}s')[f'{kind}s']:
        if item['name'] == name:
            return str(item['id'])
    raise LookupError(f'no {kind} {name}')
