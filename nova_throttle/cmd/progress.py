# SPDX-License-Identifier: Apache-2.0

"""How far transfers are, in columns.

Only the host that a guest leaves knows it, and an older release does not say.
"""

from collections.abc import Mapping
from typing import Any

from nova_throttle.cmd import plain
from nova_throttle.objects import snapshot as snapshot_obj
from nova_throttle.transfer import progress as progress_lib

Progress = progress_lib.Progress

MIB = 1024 * 1024

COLUMNS = ('Done %', 'Rate MiB/s', 'Remaining MiB', 'Pass', 'ETA s')


def of(snapshot: snapshot_obj.Snapshot) -> Mapping[str, Progress]:
    """Return how far each transfer is, by migration UUID."""
    transfers = snapshot.transfers if 'transfers' in snapshot else ()
    return {each.migration_uuid: each.to_core() for each in transfers}


def cells(progress: Progress | None) -> tuple['Maybe', ...]:
    """Return the values of COLUMNS."""
    return tuple(map(Maybe, _values(progress)))


class Maybe(plain.Column):
    """A value that is not known at all times."""

    def human_readable(self) -> str:
        """Return the value, or nothing."""
        return '' if self._value is None else str(self._value)


class Summaries(plain.Column):
    """How far several transfers are, one a line."""

    def human_readable(self) -> str:
        """Return a line for each; an empty one for what is not known."""
        return '\n'.join(map(_summary, self._value)).rstrip('\n')

    def machine_readable(self) -> list[dict[str, Any] | None]:
        """Return plain data, by the names of COLUMNS."""
        return [
            found and dict(zip(COLUMNS, _values(found), strict=True))
            for found in self._value
        ]


def _values(progress: Progress | None) -> tuple[int | float | None, ...]:
    if progress is None:
        return (None,) * len(COLUMNS)
    share, eta = progress.share, progress.eta
    return (
        None if share is None else int(100 * share),
        round(progress.rate / MIB, 1),
        round(progress.remaining / MIB),
        progress.iteration,
        None if eta is None else round(eta),
    )


def _summary(progress: Progress | None) -> str:
    if progress is None:
        return ''
    done, rate, remaining, number, eta = _values(progress)
    parts = [
        f'{done or 0} % done',
        f'{rate} MiB/s',
        f'{remaining} MiB left',
        f'pass {number}',
    ]
    if eta is not None:
        parts.append(f'ETA {eta} s')
    if progress.slow:
        parts.append('slow')
    return ', '.join(parts)
