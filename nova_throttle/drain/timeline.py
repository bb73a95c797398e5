# SPDX-License-Identifier: Apache-2.0

"""What happened to each server of a drain, and when.

Made of Nova's own records, also long after: migrations, and the events of
instance actions. What no event tells begins where the one before ends.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
from typing import Any

from nova_throttle.drain import facts as facts_lib

QUEUED = 'queued'
GATE = 'waits for a gate'
CHECKS = 'checks'
PREPARING = 'preparing'
LINK = 'waits for the link'
WIRE = 'on the wire'
FINISHING = 'finishing'
ROLLBACK = 'rolling back'

_WAIT = 'nova_throttle_wait_'
_EVENTS = {
    'compute_check_can_live_migrate_destination': CHECKS,
    'compute_check_can_live_migrate_source': CHECKS,
    'compute_pre_live_migration': PREPARING,
    'compute_post_live_migration_at_destination': FINISHING,
    'compute_rollback_live_migration_at_destination': ROLLBACK,
    'compute_prep_resize': PREPARING,
    'compute_resize_instance': WIRE,
    'compute_finish_resize': FINISHING,
}
# A record is made a little after its action, by another clock.
_SKEW = datetime.timedelta(seconds=2)


@dataclasses.dataclass(frozen=True)
class Span:
    """A part of a migration.

    :param note: what is worth to be known of it.
    """

    phase: str
    begin: datetime.datetime
    end: datetime.datetime
    note: str = ''


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One migration of a server.

    :param status: of its record.
    :param reason: why it failed.
    """

    begin: datetime.datetime
    end: datetime.datetime
    kind: str
    status: str
    destination: str
    reason: str
    spans: tuple[Span, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A server, with its attempts, the first one first."""

    uuid: str
    name: str
    attempts: tuple[Attempt, ...]


def rows(
    migrations: Iterable[facts_lib.Migration],
    name: Callable[[str], str],
    actions: Callable[[str], list[dict[str, Any]]],
    read_time: Callable[[str], datetime.datetime],
    now: datetime.datetime,
) -> list[Row]:
    """Return the servers of a drain, in the order of their first attempts.

    :param name: returns the name of a server.
    :param actions: returns its instance actions, with their events.
    :param read_time: reads a time of Nova's.
    :param now: the end of what is not over.
    """
    of_server: dict[str, list[facts_lib.Migration]] = {}
    for each in migrations:
        of_server.setdefault(each.server, []).append(each)
    found = []
    for uuid, own in of_server.items():
        known = [_events(action, read_time) for action in actions(uuid)]
        attempts = (_attempt(each, known, now) for each in own)
        found.append(Row(uuid, name(uuid), tuple(attempts)))
    return found


@dataclasses.dataclass(frozen=True)
class _Event:
    name: str
    begin: datetime.datetime
    end: datetime.datetime | None
    failed: bool
    details: str


@dataclasses.dataclass(frozen=True)
class _Action:
    begin: datetime.datetime
    is_live: bool
    events: tuple[_Event, ...]


def _events(
    action: dict[str, Any], read_time: Callable[[str], datetime.datetime]
) -> _Action:
    events = (
        _Event(
            name=each['event'],
            begin=read_time(each['start_time']),
            end=read_time(each['finish_time'])
            if each['finish_time']
            else None,
            failed=each['result'] == 'Error',
            details=str(each.get('details') or ''),
        )
        for each in action['events']
    )
    return _Action(
        begin=read_time(action['start_time']),
        is_live=action['action'] == facts_lib.LIVE,
        events=tuple(sorted(events, key=lambda each: each.begin)),
    )


def _attempt(
    migration: facts_lib.Migration,
    actions: list[_Action],
    now: datetime.datetime,
) -> Attempt:
    """Return a migration with the events of the action that asked for it."""
    own = [
        each
        for each in actions
        if each.begin <= migration.created + _SKEW
        and each.is_live == (migration.kind == facts_lib.LIVE)
    ]
    action = max(own, key=lambda each: each.begin, default=None)
    events = action.events if action else ()
    end = now if migration.is_moving else migration.updated
    details = [e.details for e in events if e.failed and e.details]
    failed = migration.status in facts_lib.FAILED
    return Attempt(
        begin=migration.created,
        end=end,
        kind=migration.kind,
        status=migration.status,
        destination=migration.destination,
        reason=details[-1].splitlines()[0] if failed and details else '',
        spans=tuple(_spans(migration.created, end, events)),
    )


def _spans(
    begin: datetime.datetime,
    end: datetime.datetime,
    events: tuple[_Event, ...],
) -> Iterator[Span]:
    told = [
        Span(phase, each.begin, min(each.end or end, end), _note(each))
        for each in events
        if (phase := _phase(each.name)) and each.begin < end
    ]
    work = [s for s in told if s.phase in (PREPARING, WIRE)]
    yield Span(QUEUED, begin, work[0].begin if work else end)
    yield from told
    yield from _wire(told, end)


def _wire(told: list[Span], end: datetime.datetime) -> Iterator[Span]:
    """Return the transfer of a live one, which has no event of its own."""
    prepared = [s for s in told if s.phase in (PREPARING, LINK)]
    if not prepared or any(s.phase == WIRE for s in told):
        return
    begin = max(span.end for span in prepared)
    after = [s.begin for s in told if s.phase in (FINISHING, ROLLBACK)]
    stop = min([each for each in after if each >= begin], default=end)
    if stop > begin:
        yield Span(WIRE, begin, stop)


def _phase(name: str) -> str:
    if name.startswith(_WAIT):
        return LINK if name.startswith(_WAIT + 'transfer') else GATE
    return _EVENTS.get(name, '')


def _note(event: _Event) -> str:
    return event.name.removeprefix(_WAIT) + (
        f': {event.details.splitlines()[0]}' if event.details else ''
    )
