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

"""The control plane: MariaDB, RabbitMQ, the APIs, conductor and scheduler."""

from collections.abc import Callable
import concurrent.futures
import os
import signal
import subprocess

from labkit import config
from labkit import hosts
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import shell

DATABASES = (
    'keystone',
    'placement',
    'glance',
    'neutron',
    'nova_api',
    'nova',
    'nova_cell0',
)
APIS = {
    'keystone': 'keystone.wsgi.api:application',
    'placement': 'placement.wsgi.api:application',
    'glance': 'glance.wsgi.api:application',
    'neutron': 'neutron.wsgi.api:application',
    'nova': 'nova.wsgi.osapi_compute:application',
}
WORKERS = ('nova-conductor', 'nova-scheduler')
# Slow machines take minutes where a fast one takes seconds.
PATIENCE = 300


def start_identity(plan: Plan) -> None:
    """Start the database, the bus and keystone; fill a fresh database."""
    fresh = not (plan.host_dir(CONTROL) / 'var-lib-mysql/mysql').exists()
    start_database(plan, fresh)
    start_bus(plan)
    if fresh:
        shell.say('Making the databases')
        _make_databases(plan)
    start_api(plan, 'keystone')
    _wait_port(plan, 'keystone', config.PORTS['keystone'])


def start_services(plan: Plan) -> None:
    """Start all that logs in at keystone when it starts."""
    for name in APIS:
        start_api(plan, name)
    for name in WORKERS:
        start_worker(plan, name)
    for name, port in config.PORTS.items():
        _wait_port(plan, name, port)


def start_database(plan: Plan, fresh: bool) -> None:
    """Start MariaDB, with little of everything."""
    if _runs(plan, 'mariadbd'):
        return
    place = plan.host_dir(CONTROL) / 'var-lib-mysql'
    shell.run('chown', 'mysql', str(place))
    if fresh:
        hosts.run(
            plan,
            CONTROL,
            *[
                'mariadb-install-db',
                '--no-defaults',
                '--user=mysql',
                '--datadir=/var/lib/mysql',
                '--skip-test-db',
                '--auth-root-authentication-method=socket',
            ],
        )
    hosts.daemon(
        plan,
        CONTROL,
        'mariadb',
        *[
            'mariadbd',
            '--no-defaults',
            '--user=mysql',
            '--datadir=/var/lib/mysql',
            '--socket=/run/mysqld/mysqld.sock',
            '--pid-file=/run/mysqld/pid',
            '--port=3306',
            '--skip-name-resolve',
            '--max-connections=400',
            '--innodb-flush-log-at-trx-commit=0',
            '--innodb-doublewrite=0',
            '--innodb-buffer-pool-size=128M',
            '--character-set-server=utf8mb4',
            '--performance-schema=off',
        ],
        f'--bind-address={plan.address(CONTROL)}',
    )
    _wait_port(plan, 'MariaDB', 3306)


def stop_database(plan: Plan) -> None:
    """Stop MariaDB in order."""
    hosts.kill(plan, CONTROL, 'mariadbd', number=signal.SIGTERM)
    shell.wait_for(
        'end of MariaDB', lambda: not _runs(plan, 'mariadbd'), PATIENCE
    )


def start_bus(plan: Plan) -> None:
    """Start RabbitMQ, on one scheduler thread."""
    if _runs(plan, 'rabbitmq_server', 'beam.smp'):
        return
    place = plan.host_dir(CONTROL) / 'var-lib-rabbitmq'
    shell.run('chown', '-R', 'rabbitmq', str(place))
    settings = {
        'HOME': '/var/lib/rabbitmq',
        'RABBITMQ_MNESIA_BASE': '/var/lib/rabbitmq/mnesia',
        'RABBITMQ_LOG_BASE': '/var/lib/rabbitmq/log',
        'RABBITMQ_NODENAME': f'rabbit@{CONTROL}',
        'RABBITMQ_CONFIG_FILE': '/run/rabbitmq.conf',
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 +sbwt none',
    }
    # The directory of the original may be closed to other users.
    hosts.run(
        plan,
        CONTROL,
        *('install', '-m', '600', '-o', 'rabbitmq'),
        *(str(plan.run / 'etc/rabbitmq.conf'), '/run/rabbitmq.conf'),
    )
    hosts.daemon(
        plan,
        CONTROL,
        'rabbitmq',
        *('setpriv', '--reuid=rabbitmq', '--regid=rabbitmq', '--init-groups'),
        '/usr/lib/rabbitmq/bin/rabbitmq-server',
        **settings,
    )
    _wait_port(plan, 'RabbitMQ', 5672)


def stop_bus(plan: Plan) -> None:
    """End RabbitMQ at once."""
    hosts.kill(plan, CONTROL, 'rabbitmq', 'beam.smp', 'epmd')
    shell.wait_for(
        'end of RabbitMQ', lambda: not _runs(plan, 'beam.smp'), PATIENCE
    )


def _runs(plan: Plan, *words: str) -> bool:
    return bool(hosts.processes(plan, CONTROL, *words))


def _wait_port(plan: Plan, name: str, port: int) -> None:
    script = f'exec 3<>/dev/tcp/{plan.address(CONTROL)}/{port}'
    command = hosts.inside(plan, CONTROL, 'bash', '-c', script)
    shell.wait_for(
        f'{name} on port {port}',
        lambda: not subprocess.run(command, capture_output=True).returncode,
        PATIENCE,
    )


def _make_databases(plan: Plan) -> None:
    statements = [f'CREATE DATABASE {name};' for name in DATABASES]
    statements.append(
        f"CREATE USER 'lab'@'%' IDENTIFIED BY '{plan.password}';"
        "GRANT ALL ON *.* TO 'lab'@'%';"
    )
    sql(plan, ' '.join(statements))
    # Two at a time: more only compete for the processor.
    jobs: list[Callable[[Plan], None]] = [_keystone, _nova, _others]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(job, plan) for job in jobs]:
            future.result()


def sql(plan: Plan, statements: str) -> str:
    """Run SQL as the database's administrator.

    It travels on standard input: no password shows in a list of processes.
    """
    path = plan.run / 'etc/statements.sql'
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, 'w') as file:
        file.write(statements)
    script = f'mariadb -N -S /run/mysqld/mysqld.sock < {path}'
    try:
        return hosts.run(plan, CONTROL, 'sh', '-c', script)
    finally:
        path.unlink()


def _keystone(plan: Plan) -> None:
    owner = '--keystone-user root --keystone-group root'
    for words in ('db_sync', f'fernet_setup {owner}'):
        manage(plan, 'keystone', *words.split())
    manage(plan, 'keystone', *f'credential_setup {owner}'.split())
    address = f'{config.url(plan, "keystone")}/v3'
    kinds = ('admin', 'internal', 'public')
    manage(
        plan,
        'keystone',
        *('bootstrap', '--bootstrap-region-id', 'RegionOne'),
        *(w for kind in kinds for w in (f'--bootstrap-{kind}-url', address)),
        OS_BOOTSTRAP_PASSWORD=plan.password,
    )


def _nova(plan: Plan) -> None:
    manage(plan, 'nova', 'api_db', 'sync')
    manage(plan, 'nova', 'cell_v2', 'map_cell0')
    manage(plan, 'nova', 'cell_v2', 'create_cell', '--name', 'cell1')
    manage(plan, 'nova', 'db', 'sync')


def _others(plan: Plan) -> None:
    manage(plan, 'placement', 'db', 'sync')
    manage(plan, 'glance', 'db_sync')
    command = plan.venv('cloud') / 'bin/neutron-db-manage'
    shell.run(
        *hosts.inside(plan, CONTROL, str(command), '--config-file'),
        str(plan.config('neutron', 'neutron.conf')),
        *('upgrade', 'heads'),
        log=plan.logs / CONTROL / 'databases.log',
    )


def manage(plan: Plan, service: str, *words: str, **env: str) -> None:
    """Run a service's ``-manage`` command."""
    name = 'glance-api.conf' if service == 'glance' else f'{service}.conf'
    command = plan.venv('cloud') / f'bin/{service}-manage'
    shell.run(
        *hosts.inside(plan, CONTROL, str(command), '--config-file'),
        *(str(plan.config(service, name)), *words),
        env={'PYTHONWARNINGS': 'ignore', **env},
        log=plan.logs / CONTROL / 'databases.log',
    )


def start_api(plan: Plan, name: str) -> None:
    """Start one API, under uWSGI."""
    if _runs(plan, _module(name)):
        return
    env = {f'OS_{name.upper()}_CONFIG_DIR': str(plan.run / 'etc' / name)}
    if name == 'neutron':
        env['OS_NEUTRON_CONFIG_FILES'] = 'neutron.conf'
    if name == 'nova':
        env['OS_NOVA_CONFIG_FILES'] = 'api-paste.ini;nova.conf;api.conf'
    listen = f'{plan.address(CONTROL)}:{config.PORTS[name]}'
    hosts.daemon(
        plan,
        CONTROL,
        f'{name}-api',
        str(plan.venv('cloud') / 'bin/uwsgi'),
        *('--http-socket', listen, '--module', APIS[name]),
        *[
            '--master',
            '--die-on-term',
            '--processes',
            '1',
            '--threads',
            '8',
            '--enable-threads',
            '--buffer-size',
            '65535',
            '--need-app',
            '--lazy-apps',
            '--thunder-lock',
            '--virtualenv',
        ],
        str(plan.venv('cloud')),
        *('--add-header', 'Connection: close'),
        PATH=_path(plan),
        **env,
    )


def kill_api(plan: Plan, name: str) -> None:
    """End one API as kill -9 does, and wait until its port is free."""
    hosts.kill(plan, CONTROL, _module(name))
    shell.wait_for(
        f'end of {name}', lambda: not _runs(plan, _module(name)), PATIENCE
    )


def _module(name: str) -> str:
    return f'--module\0{APIS[name]}'


def _path(plan: Plan) -> str:
    return f'{plan.venv("cloud")}/bin:{os.environ["PATH"]}'


def start_worker(plan: Plan, name: str) -> None:
    """Start Nova's conductor or scheduler."""
    if _runs(plan, f'bin/{name}'):
        return
    hosts.daemon(
        plan,
        CONTROL,
        name,
        *(str(plan.venv('cloud') / 'bin' / name), '--config-file'),
        str(plan.config('nova', 'nova.conf')),
        PATH=_path(plan),
    )
