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

"""A cloud of hosts with and without nova-throttle, in both directions."""

from collections.abc import Iterator

from labkit.cloud import Server
from labkit.results import Case
from labkit.stage import PATIENCE
from labkit.stage import Stage

EACH = 2
STEPS = {
    'one host without': ('compute1',),
    'upgraded': (),
    'downgraded': ('compute1',),
}


def run(stage: Stage) -> Iterator[Case]:
    """Migrate from and to the host that changes. Ours only."""
    if stage.plain:
        return
    stage.clean()
    servers: list[Server] = []
    for label, without in STEPS.items():
        stage.set(limit=1, without=without, max_incoming_live_migrations=1)
        if not servers:
            servers += stage.boot(EACH, 'idle', 'compute1')
            servers += stage.boot(EACH, 'idle', 'compute2')
        yield _swap(stage, label, servers)


def _swap(stage: Stage, label: str, servers: list[Server]) -> Case:
    """Let the servers of two hosts change places."""
    watch = stage.watch()
    now = [stage.cloud.server(server.id) for server in servers]
    for server in now:
        other = 'compute2' if server.host == 'compute1' else 'compute1'
        stage.migrate([server], other)
    watch.until_over(len(servers), PATIENCE)
    left = stage.problems(watch)
    done = watch.count('completed')
    case = Case(
        label,
        {
            'completed': f'{done} of {len(servers)}',
            'in progress at once from one host': watch.most_out,
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    case.expect(done == len(servers), 'not all completed')
    case.expect(watch.most_out == 1, f'{watch.most_out} in progress at once')
    case.expect(not left, '; '.join(left))
    return case
