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

"""Four servers, a limit of one: seen through the user's own command."""

from collections.abc import Iterator
import concurrent.futures
import json

from labkit import openstack
from labkit.results import Case
from labkit.stage import PATIENCE
from labkit.stage import Stage
from labkit.watch import Watch

COUNT = 4


def run(stage: Stage) -> Iterator[Case]:
    """Ask for all at once and watch them one after the other."""
    stage.set(limit=1)
    servers = stage.boot(COUNT, 'dirty2', 'compute1')
    watch = stage.watch()
    seen: list[set[str]] = []
    stage.migrate(servers, 'compute2')

    # The command takes seconds; the watch looks on meanwhile.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        listing = [pool.submit(_listed, stage, watch.after)]

        def over(watch: Watch) -> bool:
            if listing[-1].done():
                seen.append(listing[-1].result())
                listing.append(pool.submit(_listed, stage, watch.after))
            return watch.over() == COUNT

        watch.until('end of the queue', over, PATIENCE)
    left = stage.problems(watch)
    case = Case(
        f'{COUNT} servers, limit 1',
        {
            'completed': f'{watch.count("completed")} of {COUNT}',
            'in progress at once': watch.most_out,
            'seen by the command': ', '.join(
                word for word in ('queued', 'running') if _saw(seen, word)
            ),
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left, 'listed': _words(seen)},
    )
    case.expect(watch.count('completed') == COUNT, 'not all completed')
    case.expect(watch.most_out == 1, f'{watch.most_out} in progress at once')
    case.expect(_saw(seen, 'queued'), 'the command showed none as queued')
    case.expect(not left, '; '.join(left))
    yield case


def _listed(stage: Stage, after: int) -> set[str]:
    """Return the statuses that ``openstack`` lists."""
    words = 'server migration list --type live-migration -f json'
    rows = json.loads(openstack.run(stage.plan, *words.split()) or '[]')
    return {row['Status'] for row in rows if row['Id'] > after}


def _saw(seen: list[set[str]], status: str) -> bool:
    return any(status in statuses for statuses in seen)


def _words(seen: list[set[str]]) -> list[str]:
    return [' '.join(sorted(statuses)) for statuses in seen]
