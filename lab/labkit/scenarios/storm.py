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

"""Every other host drains onto one: who is incoming at once, by libvirt."""

from collections.abc import Iterator
import dataclasses

from labkit.cloud import Server
from labkit.results import Case
from labkit.stage import Stage
from labkit.watch import Watch

EACH = 4
# For each server; what has not ended by then does not converge.
CAP = 30


@dataclasses.dataclass(frozen=True)
class Setting:
    """The limits of each host.

    :param incoming: the destination limit; plain Nova has none.
    """

    limit: int
    incoming: int

    def label(self, sources: int) -> str:
        """Return the name of the case."""
        incoming = self.incoming or 'none'
        return (
            f'{sources} sources of {EACH}, limit {self.limit}, '
            f'destination limit {incoming}'
        )


SETTINGS = (Setting(1, 0), Setting(4, 0), Setting(4, 1), Setting(4, 2))


def run(stage: Stage) -> Iterator[Case]:
    """Drain all hosts but one onto that one."""
    hosts = stage.plan.compute_hosts
    for number in range(2, len(hosts)):
        for setting in SETTINGS:
            label = setting.label(number)
            if stage.plain and setting.incoming or not stage.wanted(label):
                continue
            yield _storm(stage, setting, hosts[:number], hosts[-1])


def _storm(
    stage: Stage, setting: Setting, sources: list[str], target: str
) -> Case:
    stage.clean()
    stage.set(
        limit=setting.limit, max_incoming_live_migrations=setting.incoming
    )
    servers: list[Server] = []
    for source in sources:
        servers += stage.boot(EACH, 'dirty3', source)
    cap = CAP * len(servers)
    watch = stage.watch(incoming_on=target)
    # In turn, so that the sources begin together.
    order = [servers[n::EACH] for n in range(EACH)]
    stage.migrate([server for turn in order for server in turn], target)
    ended = watch.until_over(len(servers), cap)
    completed, makespan = watch.count('completed'), watch.elapsed
    if not ended:
        stage.abort_rest(watch)
    left = stage.problems(watch)
    case = Case(
        setting.label(len(sources)),
        {
            'completed': f'{completed} of {len(servers)}',
            'makespan (s)': makespan if ended else f'none in {cap}',
            'incoming at once, by libvirt': watch.most_incoming,
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    _judge(case, watch, setting, completed == len(servers), left)
    return case


def _judge(
    case: Case,
    watch: Watch,
    setting: Setting,
    all_completed: bool,
    left: list[str],
) -> None:
    if setting.incoming:
        most = watch.most_incoming
        limit = setting.incoming
        case.expect(most <= limit, f'{most} incoming, limit {limit}')
    if setting.incoming == 1:
        case.expect(all_completed, 'not all completed')
    case.expect(watch.most_out <= setting.limit, 'source limit exceeded')
    case.expect(not left, '; '.join(left))
