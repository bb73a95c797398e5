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

"""RabbitMQ is restarted in the middle of a drain."""

from collections.abc import Iterator

from labkit import control
from labkit import network
from labkit.results import Case
from labkit import shell
from labkit.stage import PATIENCE
from labkit.stage import Stage

SOURCE, TARGET = 'compute1', 'compute2'
COUNT = 4


def run(stage: Stage) -> Iterator[Case]:
    """Restart it while one runs and three are queued."""
    stage.clean()
    stage.set(limit=1, rate='40mbit')
    watch = stage.depart(COUNT, SOURCE, TARGET)
    watch.until_one_runs(COUNT, PATIENCE)
    shell.say('Restarting RabbitMQ')
    control.stop_bus(stage.plan)
    control.start_bus(stage.plan)
    network.shape(stage.plan, '200mbit')
    watch.until_over(COUNT, 400)
    left = stage.problems(watch, 300 if not stage.plain else 60)
    done = watch.count('completed')
    case = Case(
        f'{COUNT} servers, limit 1, RabbitMQ restarted',
        {
            'completed': f'{done} of {COUNT}',
            'in the end': watch.statuses(),
            'in progress at once': watch.most_out,
            'left behind': len(left),
        },
        raw={'history': watch.history, 'left': left},
    )
    case.expect(watch.over() == COUNT, 'some did not end')
    case.expect(watch.most_out == 1, f'{watch.most_out} in progress at once')
    case.expect(not left, '; '.join(left))
    yield case
