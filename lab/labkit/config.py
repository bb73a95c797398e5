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

"""Configuration files of all services.

A file is a dictionary of sections. What the lab needs and a cloud does not is
marked with the reason.
"""

from collections.abc import Mapping
import pathlib
import shutil
from typing import Any

from labkit import metrics
from labkit import plan as plans
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import shell

Sections = dict[str, dict[str, Any]]

PORTS = {
    'keystone': 5000,
    'placement': 8778,
    'neutron': 9696,
    'nova': 8774,
    'glance': 9292,
}


def write_control(plan: Plan) -> None:
    """Write the configuration of the control plane."""
    _write(plan.config('keystone', 'keystone.conf'), _keystone(plan))
    _write(plan.config('placement', 'placement.conf'), _placement(plan))
    _write(plan.config('glance', 'glance-api.conf'), _glance(plan))
    _write(plan.config('neutron', 'neutron.conf'), _neutron(plan))
    _write(plan.config('nova', 'nova.conf'), _nova_control(plan))
    _write(
        plan.config('nova', 'api.conf'),
        {'DEFAULT': _log(plan, CONTROL, 'nova-api')},
    )
    for name in ('glance/glance-api-paste.ini', 'nova/api-paste.ini'):
        shutil.copy(plan.venv('cloud') / 'etc' / name, plan.run / 'etc' / name)
    # Guests have no disk of their own; tempest boots them as a user.
    plans.write_private(
        plan.config('nova', 'policy.yaml'),
        '"os_compute_api:servers:create:zero_disk_flavor": "@"\n',
    )
    plans.write_private(
        plan.run / 'etc/rabbitmq.conf',
        f'listeners.tcp.1 = {plan.address(CONTROL)}:5672\n'
        'loopback_users = none\ndefault_user = nova\n'
        f'default_pass = {plan.password}\n',
    )
    shutil.chown(plan.run / 'etc/rabbitmq.conf', 'rabbitmq')


def write_openrc(plan: Plan) -> None:
    """Write the administrator's credentials, for a shell."""
    facts = {
        'OS_AUTH_URL': f'{url(plan, "keystone")}/v3',
        'OS_USERNAME': 'admin',
        'OS_PASSWORD': plan.password,
        'OS_PROJECT_NAME': 'admin',
        'OS_USER_DOMAIN_NAME': 'Default',
        'OS_PROJECT_DOMAIN_NAME': 'Default',
        'OS_IDENTITY_API_VERSION': '3',
        'OS_REGION_NAME': 'RegionOne',
        'OS_COMPUTE_API_VERSION': '2.latest',
    }
    lines = [f'export {name}={value}' for name, value in facts.items()]
    plans.write_private(plan.run / 'openrc', '\n'.join(lines) + '\n')


def url(plan: Plan, service: str) -> str:
    """Return the address of a service's API."""
    return f'http://{plan.address(CONTROL)}:{PORTS[service]}'


def database(plan: Plan, name: str) -> str:
    """Return the address of a database."""
    host = plan.address(CONTROL)
    return f'mysql+pymysql://lab:{plan.password}@{host}/{name}?charset=utf8mb4'


def _write(path: pathlib.Path, sections: Sections) -> None:
    lines = []
    for section, options in sections.items():
        lines.append(f'[{section}]')
        lines += [f'{name} = {value}' for name, value in options.items()]
    plans.write_private(path, '\n'.join(lines) + '\n')


def _bus(plan: Plan) -> str:
    return f'rabbit://nova:{plan.password}@{plan.address(CONTROL)}:5672/'


def _client(plan: Plan, user: str) -> dict[str, Any]:
    """Return how a service logs in to another."""
    return {
        'auth_url': f'{url(plan, "keystone")}/v3',
        'auth_type': 'password',
        'username': user,
        'password': plan.password,
        'project_name': 'service',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        'region_name': 'RegionOne',
        'valid_interfaces': 'internal',
    }


def _tokens(plan: Plan, user: str) -> dict[str, Any]:
    return {
        **_client(plan, user),
        'www_authenticate_uri': url(plan, 'keystone'),
        'interface': 'internal',
        'service_token_roles_required': 'true',
    }


def _log(plan: Plan, host: str, name: str) -> dict[str, Any]:
    return {'log_file': plan.logs / host / f'{name}.log'}


def _keystone(plan: Plan) -> Sections:
    keys = plan.run / 'etc/keystone'
    return {
        'DEFAULT': {
            **_log(plan, CONTROL, 'keystone'),
            'transport_url': _bus(plan),
        },
        'database': {'connection': database(plan, 'keystone')},
        'fernet_tokens': {'key_repository': keys / 'fernet-keys'},
        'fernet_receipts': {'key_repository': keys / 'fernet-keys'},
        'credential': {'key_repository': keys / 'credential-keys'},
        'cache': {'enabled': 'true', 'backend': 'dogpile.cache.memory'},
        'oslo_messaging_notifications': {'driver': 'noop'},
    }


def _placement(plan: Plan) -> Sections:
    return {
        'DEFAULT': _log(plan, CONTROL, 'placement'),
        'placement_database': {'connection': database(plan, 'placement')},
        'api': {'auth_strategy': 'keystone'},
        'keystone_authtoken': _tokens(plan, 'placement'),
    }


def _glance(plan: Plan) -> Sections:
    store = plan.run / 'glance'
    for name in ('images', 'staging', 'tasks'):
        (store / name).mkdir(parents=True, exist_ok=True)
    return {
        'DEFAULT': {
            **_log(plan, CONTROL, 'glance'),
            'workers': 0,
            'enabled_backends': 'fs:file',
            'enabled_import_methods': '[]',
            'transport_url': _bus(plan),
        },
        'database': {'connection': database(plan, 'glance')},
        'glance_store': {'default_backend': 'fs'},
        'fs': {'filesystem_store_datadir': store / 'images'},
        'os_glance_staging_store': {
            'filesystem_store_datadir': store / 'staging'
        },
        'os_glance_tasks_store': {'filesystem_store_datadir': store / 'tasks'},
        'paste_deploy': {
            'flavor': 'keystone',
            'config_file': plan.config('glance', 'glance-api-paste.ini'),
        },
        'keystone_authtoken': _tokens(plan, 'glance'),
    }


def _neutron(plan: Plan) -> Sections:
    return {
        'DEFAULT': {
            **_log(plan, CONTROL, 'neutron'),
            'core_plugin': 'ml2',
            'service_plugins': 'router',
            'auth_strategy': 'keystone',
            'transport_url': _bus(plan),
            'state_path': plan.run / 'neutron',
            'api_paste_config': plan.venv('cloud')
            / 'etc/neutron/api-paste.ini',
            'notify_nova_on_port_status_changes': 'false',
            'notify_nova_on_port_data_changes': 'false',
            'rpc_workers': 0,
        },
        'database': {'connection': database(plan, 'neutron')},
        'oslo_concurrency': {'lock_path': plan.run / 'neutron/lock'},
        'ml2': {
            'type_drivers': 'flat,local',
            'tenant_network_types': 'local',
            # There is no agent here: our driver binds every port, so that
            # Nova makes, activates and deletes real bindings.
            'mechanism_drivers': 'lab',
            'extension_drivers': '',
        },
        'keystone_authtoken': _tokens(plan, 'neutron'),
        'nova': _client(plan, 'nova'),
    }


def _nova(plan: Plan, host: str) -> Sections:
    """Return what nova-compute and the control plane have in common."""
    return {
        'DEFAULT': {
            'host': host,
            'my_ip': plan.address(host),
            'state_path': plan.nova_state,
            'log_dir': plan.logs / host,
            'transport_url': _bus(plan),
            # Quick to be seen coming and going, for the scenarios.
            'report_interval': 5,
            'service_down_time': 40,
            # After it, nobody works on a request whose conductor was killed.
            'long_rpc_timeout': 90,
            'vif_plugging_is_fatal': 'false',
            'vif_plugging_timeout': 0,
            'cpu_allocation_ratio': 64,
            'ram_allocation_ratio': 4,
            'disk_allocation_ratio': 16,
            'reserved_host_memory_mb': 0,
        },
        'oslo_concurrency': {'lock_path': plan.nova_state / 'lock'},
        'oslo_messaging_notifications': {'driver': 'noop'},
        'glance': {'api_servers': url(plan, 'glance')},
        'placement': _client(plan, 'placement'),
        'neutron': _client(plan, 'neutron'),
        'service_user': {
            **_client(plan, 'nova'),
            'send_service_user_token': 'true',
        },
        'keystone_authtoken': _tokens(plan, 'nova'),
        'vnc': {'enabled': 'false'},
    }


def _nova_control(plan: Plan) -> Sections:
    sections = _nova(plan, CONTROL)
    sections['DEFAULT'] |= {
        'enabled_apis': 'osapi_compute',
        'osapi_compute_workers': 1,
    }
    return sections | {
        'api_database': {'connection': database(plan, 'nova_api')},
        'database': {'connection': database(plan, 'nova')},
        'api': {'auth_strategy': 'keystone'},
        'conductor': {'workers': 1},
        'scheduler': {'workers': 1, 'discover_hosts_in_cells_interval': 15},
        'filter_scheduler': {'track_instance_changes': 'false'},
        'quota': {'instances': -1, 'cores': -1, 'ram': -1},
    }


def write_compute(
    plan: Plan,
    host: str,
    limit: int = 1,
    throttle: Mapping[str, Any] | None = None,
    shared: bool = False,
) -> None:
    """Write a compute host's nova.conf.

    :param limit: Nova's own max_concurrent_live_migrations.
    :param throttle: options of [nova_throttle]; None is a plain Nova.
    :param shared: the hosts share the storage of their guests.
    """
    sections = _nova(plan, host)
    sections['DEFAULT'] |= {
        'compute_driver': 'libvirt.LibvirtDriver',
        'max_concurrent_live_migrations': limit,
        'max_concurrent_builds': 4,
        'sync_power_state_interval': 600,
        # A stop that takes a minute, not three.
        'manager_shutdown_timeout': 60,
        'graceful_shutdown_timeout': 80,
    }
    if shared:
        sections['DEFAULT']['instances_path'] = plan.shared_instances
    venv = plan.venv('cloud' if throttle is None else 'throttled')
    sections |= _libvirt(plan, host, venv)
    if throttle is not None:
        sections['nova_throttle'] = {
            'enabled': 'true',
            'metrics_bind': metrics.address(plan, host),
            **throttle,
        }
    _write(plan.config('nova', f'{host}.conf'), sections)


def _libvirt(plan: Plan, host: str, venv: pathlib.Path) -> Sections:
    helper = (
        f'{venv}/bin/privsep-helper '
        f'--config-file {plan.config("nova", host + ".conf")}'
    )
    privileged = ('nova_sys_admin', 'vif_plug_ovs_privileged')
    return {
        'libvirt': {
            'virt_type': 'qemu',
            'cpu_mode': 'none',
            'hw_machine_type': 'x86_64=pc',
            'tb_cache_size': 32,
            'live_migration_scheme': 'tcp',
            'live_migration_inbound_addr': plan.address(host, 'mig'),
            'live_migration_timeout_action': 'abort',
        },
        # The guests' images are a kernel and a file system, whose formats
        # the destination does not know.
        'workarounds': {'disable_deep_image_inspection': 'true'},
        **{section: {'helper_command': helper} for section in privileged},
    }


def write_libvirt(plan: Plan, host: str) -> None:
    """Write a compute host's libvirt configuration.

    libvirtd must not touch the machine's own security and cgroups, and must
    take more requests at once than its default of five: each migration in
    progress is one, and a connection that is full is closed as dead.
    """
    place = plan.host_dir(host) / 'etc-libvirt'
    # libvirtd passes over a directory that is not there when it starts.
    plan.shared_instances.mkdir(exist_ok=True)
    shell.run('cp', '-a', '/etc/libvirt/.', str(place))
    shutil.rmtree(place / 'qemu/networks/autostart', ignore_errors=True)
    (place / 'libvirtd.conf').write_text(
        'listen_tls = 0\nlisten_tcp = 1\nlisten_addr = "0.0.0.0"\n'
        'max_client_requests = 50\n'
        'auth_tcp = "none"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
        f'host_uuid = "{host_uuid(host)}"\n'
        'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"\n'
    )
    (place / 'qemu.conf').write_text(
        'user = "root"\ngroup = "root"\ndynamic_ownership = 0\n'
        'remember_owner = 0\nsecurity_driver = "none"\nnamespaces = []\n'
        'cgroup_controllers = []\nstdio_handler = "file"\nmax_core = 0\n'
        'migration_address = "0.0.0.0"\n'
        # For libvirt a directory of this machine is of one host only.
        f'shared_filesystems = ["{plan.shared_instances}"]\n'
        f'migration_host = "{plan.address(host, "mig")}"\n'
    )


def host_uuid(host: str) -> str:
    """Return what libvirt takes for the machine's serial number."""
    return f'00000000-0000-4000-8000-{0xE0 + plans.index(host):012x}'
