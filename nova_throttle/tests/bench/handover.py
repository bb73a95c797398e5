# SPDX-License-Identifier: Apache-2.0

"""How long a free slot stays free while others wait.

From the instant at which the work of a migration returns, in the thread that
did it, to the instant at which the work of the next begins.
"""

from nova_throttle.tests.bench import cloud as cloud_lib
from nova_throttle.tests.bench import figures

# Seconds of work: long enough that what follows the end of one migration is
# over, and the next one looked at, before it ends. A real one takes longer.
WORK = 0.1


def measure(stage: cloud_lib.Stage) -> figures.Figures:
    """Return the time from slot free to next start in milliseconds.

    :param stage: where one migration after the other has been.
    """
    gaps = zip(stage.ended, stage.begun[1:], strict=False)
    return figures.percentiles(
        'handover', [(begun - ended) * 1e3 for ended, begun in gaps]
    )
