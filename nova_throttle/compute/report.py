# SPDX-License-Identifier: Apache-2.0

"""Our section of the report that Nova makes of its process on a signal.

The handler of the signal runs in whichever thread was interrupted, which may
hold a lock of ours: nothing here waits for one for long, and nothing fails.
"""

from collections.abc import Iterator
import threading
import weakref

from oslo_reports import guru_meditation_report

from nova_throttle.admission import limiter
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.compute import assembly as assembly_lib
from nova_throttle.compute import compat

# So many of the queue are listed: a report is for people.
LISTED = 100


def register(parts: assembly_lib.Assembly) -> None:
    """Have the reports of this process tell of a host.

    :param parts: its parts; not kept alive by this.
    """
    known = weakref.ref(parts)

    def section() -> str:
        found = known()
        return 'This host has stopped.' if found is None else _text(found)

    guru_meditation_report.TextGuruMeditation.register_section(
        f'nova-throttle on {parts.manager.host}', section
    )


def _text(parts: assembly_lib.Assembly) -> str:
    try:
        return '\n'.join(_lines(parts))
    except Exception as error:
        # Otherwise there is no report at all.
        return f'It cannot be told: {type(error).__name__}: {error}'


def _lines(parts: assembly_lib.Assembly) -> Iterator[str]:
    if parts.throttle.is_interrupted():
        yield 'The admission is busy at this instant: ask again.'
    else:
        snapshot = parts.throttle.snapshot()
        yield 'Gates'
        yield from map(_gate, snapshot.gates.values())
        yield f'\nQueue ({len(snapshot.queue)})'
        yield from map(_entry, snapshot.queue[:LISTED])
    yield '\nMigrations that are not over'
    for migration in parts.migrations.all():
        problem = f': {migration.problem}' if migration.problem else ''
        yield f'  {migration.uuid} {migration.state.value}{problem}'
    yield f'\nJournal\n  {parts.journal!r}'
    yield '\nThreads'
    for thread in threading.enumerate():
        if thread.name.startswith(compat.THREAD_PREFIX):
            yield f'  {thread.name}'


def _gate(gate: snapshot_lib.GateState) -> str:
    unlimited = gate.limit == limiter.UNLIMITED
    limit = 'unlimited' if unlimited else f'{gate.limit} slots'
    owners = ', '.join(gate.owners) or 'none'
    return (
        f'  {gate.name}: {limit}, {len(gate.offered)} offered, '
        f'{len(gate.waiting)} of other hosts wait; owners: {owners}'
    )


def _entry(entry: snapshot_lib.QueueEntry) -> str:
    waits = '; '.join(map(str, entry.waits_for)) or 'nothing'
    return (
        f'  {entry.position}. {entry.migration_uuid} of server '
        f'{entry.instance_uuid} to {entry.destination}, priority '
        f'{entry.priority}, {entry.seconds_waited:.0f} s; waits for: {waits}'
    )
