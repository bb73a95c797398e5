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

"""Scenarios: what is tried, and what must be true afterwards.

Each module has ``run(stage)``, which yields a ``results.Case`` after each
setting that it tried.
"""

from collections.abc import Callable
from collections.abc import Iterator

from labkit.results import Case
from labkit.scenarios import abort
from labkit.scenarios import bus
from labkit.scenarios import chaos
from labkit.scenarios import cluster
from labkit.scenarios import crash
from labkit.scenarios import destination
from labkit.scenarios import drain
from labkit.scenarios import drain_host
from labkit.scenarios import limit
from labkit.scenarios import link
from labkit.scenarios import power
from labkit.scenarios import queue
from labkit.scenarios import rolling
from labkit.scenarios import stop
from labkit.scenarios import storm
from labkit.stage import Stage

ALL: dict[str, Callable[[Stage], Iterator[Case]]] = {
    'queue': queue.run,
    'drain': drain.run,
    'link': link.run,
    'drain-host': drain_host.run,
    'storm': storm.run,
    'crash': crash.run,
    'stop': stop.run,
    'destination': destination.run,
    'abort': abort.run,
    'limit': limit.run,
    'bus': bus.run,
    'power': power.run,
    'rolling': rolling.run,
    'cluster': cluster.run,
    'chaos': chaos.run,
}
