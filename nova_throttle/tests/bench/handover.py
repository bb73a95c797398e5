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

"""How long a free slot stays free while others wait.

From the instant at which the work of a migration returns, in the thread that
did it, to the instant at which the work of the next begins.
"""

from nova_throttle.tests.bench import cloud as cloud_lib
from nova_throttle.tests.bench import figures

# Seconds of work: long enough that what follows the end of one migration is
# over before the next ends, as it is with real ones.
WORK = 0.015


def measure(stage: cloud_lib.Stage) -> figures.Figures:
    """Return the time from slot free to next start in milliseconds.

    :param stage: where one migration after the other has been.
    """
    gaps = zip(stage.ended, stage.begun[1:], strict=False)
    return figures.percentiles(
        'handover', [(begun - ended) * 1e3 for ended, begun in gaps]
    )
