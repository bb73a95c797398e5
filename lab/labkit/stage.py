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

"""What scenarios have in common: guests, hosts in a known state, clean-up."""

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
from typing import Any

from labkit.chaos.options import Options
from labkit.cloud import ApiError
from labkit.cloud import Cloud
from labkit.cloud import FINAL
from labkit.cloud import Migration
from labkit.cloud import Server
from labkit import computes
from labkit import control
from labkit import hosts
from labkit import network
from labkit.plan import Plan
from labkit import seed
from labkit import settled
from labkit import shell
from labkit.watch import Watch

PATIENCE = 600
RATE = '200mbit'
# What a guest prints that writes nothing; the others write.
READY = {'idle': 'GUEST READY'}


@dataclasses.dataclass
class Stage:
    """A lab that is up, and how a scenario works with it.

    :param plain: Nova without us.
    :param only: words of which a case's label must have one.
    :param chaos: what to try of that scenario.
    """

    plan: Plan
    cloud: Cloud
    plain: bool
    only: Sequence[str] = ()
    chaos: Options = Options()

    def wanted(self, label: str) -> bool:
        """Whether a case is to be tried."""
        return not self.only or any(word in label for word in self.only)

    def set(
        self,
        limit: int = 1,
        rate: str = RATE,
        without: Sequence[str] = (),
        shared: bool = False,
        **throttle: Any,
    ) -> None:
        """Bring all hosts into a state, with nothing in progress.

        :param limit: Nova's max_concurrent_live_migrations.
        :param rate: of the link.
        :param without: hosts that have no nova-throttle.
        :param shared: the hosts share the storage of their guests, of which
            there are none when that changes.
        :param throttle: options of [nova_throttle]; unless it is among
            them, there is no limit of what a host receives.
        """
        throttle.setdefault('max_incoming_live_migrations', 0)
        changed = [
            host
            for host in self.plan.compute_hosts
            if self._configure(
                host,
                limit,
                self.plain or host in without,
                {'shared': shared, **throttle},
            )
        ]
        if changed:
            shell.say(f'Starting nova-compute of {", ".join(changed)}')
            computes.restart(self.plan, self.cloud, changed)
        network.shape(self.plan, rate)

    def _configure(
        self, host: str, limit: int, plain: bool, options: dict[str, Any]
    ) -> bool:
        """Write a host's configuration.

        :returns: whether nova-compute must be started because of it.
        """
        computes.start_host(self.plan, host)
        path = self.plan.config('nova', f'{host}.conf')
        before = path.read_text() if path.exists() else ''
        computes.configure(self.plan, host, plain, limit, **options)
        runs = hosts.processes(self.plan, host, 'bin/nova-compute')
        return path.read_text() != before or not runs

    def boot(self, count: int, image: str, host: str) -> list[Server]:
        """Boot guests on a host and wait until they write."""
        return self.boot_each([(image, host)] * count)

    def boot_each(self, guests: Sequence[tuple[str, str]]) -> list[Server]:
        """Boot guests at once and wait until they write.

        :param guests: image and host of each.
        """
        first = len(self.cloud.servers()) + 1
        where = ', '.join(f'{image} on {host}' for image, host in guests)
        shell.say(f'Booting guests: {where}')
        booted = [
            _boot(self.cloud, f's{number}', image, host)
            for number, (image, host) in enumerate(guests, first)
        ]
        self._wait_built(booted)
        servers = [self.cloud.server(uuid) for uuid in booted]
        words = [READY.get(image, 'GUEST WRITES') for image, _ in guests]
        shell.wait_for(
            'writing guests',
            lambda: all(
                word in self.console(server)
                for word, server in zip(words, servers, strict=True)
            ),
            PATIENCE,
            every=1,
        )
        return servers

    def _wait_built(self, booted: list[str]) -> None:
        def built() -> bool:
            statuses = [self.cloud.server(uuid).status for uuid in booted]
            if 'ERROR' in statuses:
                raise shell.LabError('a guest did not boot: lab logs')
            return set(statuses) == {'ACTIVE'}

        shell.wait_for('active servers', built, PATIENCE, every=1)

    def console(self, server: Server) -> str:
        """Return what a guest has printed."""
        places = (
            self.plan.host_dir(server.host) / 'nova/instances',
            self.plan.shared_instances,
        )
        for place in places:
            path = place / server.id / 'console.log'
            if path.exists():
                return path.read_text(errors='replace')
        return ''

    def watch(self, **options: Any) -> Watch:
        """Begin to watch the migrations from now on."""
        after = self.cloud.last_migration()
        return Watch(self.plan, self.cloud, after, **options)

    def migrate(self, servers: Sequence[Server], destination: str) -> None:
        """Ask for live migrations, one after the other."""
        for server in servers:
            self.cloud.migrate(server, destination)

    def depart(self, count: int, source: str, target: str) -> Watch:
        """Have guests that keep writing leave one host for another."""
        servers = self.boot(count, 'dirty2', source)
        watch = self.watch()
        self.migrate(servers, target)
        return watch

    def abort_rest(self, watch: Watch) -> None:
        """Abort what does not end by itself, with all of the link."""
        network.shape(self.plan, 'off')
        for migration in watch.look():
            if is_live(migration):
                with contextlib.suppress(ApiError):
                    self.cloud.abort(migration)
        watch.until_over(len(watch.last), PATIENCE)

    def problems(self, watch: Watch, seconds: float = 180) -> list[str]:
        """Return what is left behind, once it no longer changes.

        Giving back what was held may take some time after the end. Plain
        Nova gives nothing back later.
        """
        seconds = min(seconds, 30) if self.plain else seconds
        found = ['not looked at yet']

        def look() -> bool:
            found[:] = settled.problems(self.plan, self.cloud, watch.after)
            return not found

        with contextlib.suppress(shell.LabError):
            shell.wait_for('nothing left behind', look, seconds, every=3)
        return found

    def clean(self) -> None:
        """Remove every server, whatever its state, and what they left."""
        shell.say('Removing the guests')
        network.shape(self.plan, 'off')
        for host in self.plan.compute_hosts:
            computes.start_host(self.plan, host)
            computes.start(self.plan, host)
        for server in self.cloud.servers():
            self._try(self._abort_all, server)
            self._try(self._delete, server)
        with contextlib.suppress(shell.LabError):
            shell.wait_for(
                'end of the servers',
                lambda: not self.cloud.servers(),
                90,
                every=1,
            )
        if self._leftovers():
            self._force()
        self.plan.remember(rate='off')

    def _try(self, action: Callable[[Server], None], server: Server) -> None:
        with contextlib.suppress(ApiError):
            action(server)

    def _abort_all(self, server: Server) -> None:
        for migration in self.cloud.migrations():
            if migration.server == server.id and is_live(migration):
                self.cloud.abort(migration)

    def _delete(self, server: Server) -> None:
        if server.status not in ('ACTIVE', 'ERROR'):
            state = {'state': 'active'}
            self.cloud.act(server, 'os-resetState', state)
        self.cloud.ask('nova', 'DELETE', f'/servers/{server.id}')

    def _leftovers(self) -> bool:
        domains = [
            computes.domains(self.plan, h) for h in self.plan.compute_hosts
        ]
        live = any(is_live(m) for m in self.cloud.migrations())
        return (
            bool(self.cloud.servers())
            or any(domains)
            or live
            or bool(self._allocated())
        )

    def _allocated(self) -> list[str]:
        found: list[str] = []
        for uuid in self.cloud.providers():
            path = f'/resource_providers/{uuid}/allocations'
            found += self.cloud.get('placement', path)['allocations']
        return found

    def _force(self) -> None:
        """Remove by force what plain Nova leaves for ever."""
        shell.say('Removing leftovers by force')
        for host in self.plan.compute_hosts:
            computes.kill(self.plan, host)
            for domain in computes.domains(self.plan, host):
                words = ('destroy', domain)
                computes.virsh(self.plan, host, *words, check=False)
                words = ('undefine', domain)
                computes.virsh(self.plan, host, *words, check=False)
            for path in self.plan.host_dir(host).glob('nova/nova-throttle/*'):
                path.unlink()
        final = ', '.join(f"'{status}'" for status in FINAL)
        control.sql(
            self.plan,
            "UPDATE nova.migrations SET status='error' "
            f'WHERE status NOT IN ({final}); '
            "UPDATE nova.instances SET task_state=NULL, vm_state='error' "
            'WHERE deleted=0;',
        )
        computes.restart(self.plan, self.cloud, self.plan.compute_hosts)
        for server in self.cloud.servers():
            self._try(self._delete, server)
        shell.wait_for(
            'end of the servers',
            lambda: not self.cloud.servers(),
            PATIENCE,
            every=1,
        )
        for consumer in self._allocated():
            self.cloud.ask('placement', 'DELETE', f'/allocations/{consumer}')


def _boot(cloud: Cloud, name: str, image: str, host: str) -> str:
    network = seed.find(cloud, 'neutron', 'network', seed.NETWORK)
    wanted = {
        'name': name,
        'imageRef': seed.find(cloud, 'glance', 'image', image),
        'flavorRef': seed.find(cloud, 'nova', 'flavor', seed.FLAVOR),
        'networks': [{'uuid': network}],
        'host': host,
    }
    answer = cloud.ask('nova', 'POST', '/servers', {'server': wanted})
    return str(answer['server']['id'])


def is_live(migration: Migration) -> bool:
    """Whether a migration has not ended."""
    return migration.status not in FINAL
