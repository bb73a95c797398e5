# SPDX-License-Identifier: Apache-2.0

"""Which migrations out of a host make one drain.

Nova has no word for a drain: it is a burst of migrations with no long gap.
"""

from collections.abc import Iterable
import datetime

from nova_throttle.drain import facts as facts_lib

# So long nothing was asked for, and nothing was under way.
GAP = datetime.timedelta(hours=1)


def bursts(
    migrations: Iterable[facts_lib.Migration],
) -> list[list[facts_lib.Migration]]:
    """Return the drains of a host, the oldest first.

    :param migrations: out of the host.
    """
    found: list[list[facts_lib.Migration]] = []
    end = None
    for each in sorted(migrations, key=lambda m: (m.created, m.id)):
        if each.kind == 'evacuation':
            continue
        if end is None or each.created > end + GAP:
            found.append([])
            end = each.updated
        found[-1].append(each)
        # What is not over goes on, whenever it was written down last.
        end = max(end, each.updated)
        if not each.over:
            end = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
            end -= GAP
    return found


def last(
    migrations: Iterable[facts_lib.Migration],
) -> list[facts_lib.Migration]:
    """Return the migrations of the newest drain."""
    found = bursts(migrations)
    return found[-1] if found else []


def busy(
    migrations: Iterable[facts_lib.Migration], now: datetime.datetime
) -> float:
    """Return for how many seconds at least one was asked for, or moved."""
    seconds = 0.0
    end = None
    for each in sorted(migrations, key=lambda m: m.created):
        stop = now if each.is_moving else each.updated
        begin = each.created if end is None else max(each.created, end)
        if stop > begin:
            seconds += (stop - begin).total_seconds()
            end = stop
    return seconds
