# SPDX-License-Identifier: Apache-2.0

"""What each queued request waits for.

Little is copied under the lock; all else is made of that without it.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import types
from typing import NamedTuple

from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import stage as stage_lib
from nova_throttle.admission import standstill as standstill_lib

Standstill = standstill_lib.Standstill
Wait = snapshot_lib.Wait
WaitReason = snapshot_lib.WaitReason

# What is said of a standstill: the first reason that there is.
_SAID = {
    Standstill.STOPPING: WaitReason.STOPPING,
    Standstill.STARTING: WaitReason.STARTING,
    Standstill.COUNTING: WaitReason.STARTING,
    Standstill.PAUSED: WaitReason.PAUSED,
}


# A destination may have reasons that this host does not know.
_REASONS = {reason.value: reason for reason in WaitReason}


class _Queued(NamedTuple):
    """One request that waits, as it was at that instant."""

    waiting: queue.Waiting
    rank: int
    request: request_lib.Request
    missing: tuple[request_lib.RemoteGate, ...]
    deferred: WaitReason | None
    asks: bool


class StageLook(NamedTuple):
    """What was seen of a stage.

    :param reserved: for whom slots are kept, by gate.
    :param queued: all that wait, in no order, each what a _Queued is of.
    """

    reserved: queue.Reservations
    # Plain tuples: there may be thousands, and the lock is held.
    queued: list[
        tuple[
            queue.Waiting,
            int,
            request_lib.Request,
            tuple[request_lib.RemoteGate, ...],
            WaitReason | None,
            bool,
        ]
    ]


@dataclasses.dataclass(frozen=True)
class Look:
    """What a controller saw of itself at one instant.

    :param known: what is known of gates that are kept elsewhere.
    :param now: seconds, monotonic.
    """

    gates: Mapping[str, snapshot_lib.GateState]
    stages: list[StageLook]
    known: Mapping[request_lib.RemoteGate, remote.Known]
    standstill: frozenset[Standstill]
    now: float


def look_at(stage: stage_lib.Stage) -> StageLook:
    """Copy what a snapshot needs of a stage; the caller holds the lock."""
    return StageLook(
        stage.reservations(),
        [
            (w, w.rank, w.request, w.missing, w.deferred, w.asks)
            for w in stage.queue.all()
        ],
    )


def in_order(look: Look) -> Iterator[queue.Waiting]:
    """Iterate over all that waits, what is furthest on its way first."""
    for stage in reversed(look.stages):
        yield from queue.in_order(each[0] for each in stage.queued)


def snapshot(look: Look) -> snapshot_lib.Snapshot:
    """Make the frozen value of a look."""
    entries = [
        (each, standstill or tuple(_waits(each, stage, look)))
        for index, stage in reversed(list(enumerate(look.stages)))
        for standstill in [_wait_still(look, index)]
        for each in sorted(map(_Queued._make, stage.queued), key=_position)
    ]
    return snapshot_lib.Snapshot(
        types.MappingProxyType(dict(look.gates)),
        tuple(
            _entry(each, position, look.now, waits)
            for position, (each, waits) in enumerate(entries, 1)
        ),
        Standstill.STOPPING in look.standstill,
    )


def wait_reason(standstill: Collection[Standstill]) -> WaitReason | None:
    """Return what to say of a standstill; None if there is none."""
    for reason, said in _SAID.items():
        if reason in standstill:
            return said
    return None


def _wait_still(look: Look, index: int) -> tuple[Wait, ...]:
    reason = wait_reason(standstill_lib.of_stage(look.standstill, index))
    return (Wait(reason),) if reason else ()


def _position(queued: _Queued) -> tuple[int, int]:
    return queued.rank, queued.waiting.sequence


def _entry(
    queued: _Queued,
    position: int,
    now: float,
    waits: tuple[Wait, ...],
) -> snapshot_lib.QueueEntry:
    request = queued.request
    return snapshot_lib.QueueEntry(
        migration_uuid=request.migration_uuid,
        instance_uuid=request.instance_uuid,
        destination=request.destination,
        priority=request.priority,
        position=position,
        seconds_waited=now - queued.waiting.since,
        waits_for=waits,
    )


def _waits(queued: _Queued, stage: StageLook, look: Look) -> list[Wait]:
    """Say what keeps a queued request from starting."""
    waiting = queued.waiting
    waits = []
    if queued.request.held:
        waits.append(Wait(WaitReason.HELD))
    if queued.deferred:
        waits.append(Wait(queued.deferred))
    for name in waiting.needs.gates:
        keepers = stage.reserved.get(name, [])
        wait = _wait_here(look.gates[name], waiting, keepers)
        waits.extend([wait] if wait else [])
    for gate in queued.missing:
        if gate.is_last and gate in look.known:
            waits.extend(look.known[gate].waits.get(waiting.uuid, ()))
    for gate in queued.missing:
        if gate.is_last:
            continue
        elsewhere = _wait_elsewhere(queued, gate, look.known.get(gate))
        # That another host is being asked is worth saying only if nothing
        # else keeps it.
        if elsewhere and not (waits and elsewhere.reason is WaitReason.ASKING):
            waits.append(elsewhere)
    return waits


def _wait_here(
    gate: snapshot_lib.GateState,
    waiting: queue.Waiting,
    keepers: list[queue.Waiting],
) -> Wait | None:
    ahead = sum(keeper < waiting for keeper in keepers)
    if not gate.limit or gate.limit - len(gate.owners) > ahead:
        return None
    if len(gate.owners) >= gate.limit:
        reason = WaitReason.GATE_FULL
    else:
        reason = WaitReason.RESERVED
    return Wait(reason, gate.name, gate.limit, gate.owners)


def _wait_elsewhere(
    queued: _Queued,
    gate: request_lib.RemoteGate,
    known: remote.Known | None,
) -> Wait | None:
    known = known or remote.Known()
    position = known.positions.get(queued.waiting.uuid, 0)
    if known.silent:
        return Wait(WaitReason.SILENT, gate.name, host=gate.host)
    if not position:
        # It does not know of this one yet.
        return Wait(WaitReason.ASKING, gate.name, host=gate.host)
    if known.standstill:
        reason = _REASONS.get(known.standstill, WaitReason.STARTING)
    elif 0 < known.limit <= len(known.owners):
        reason = WaitReason.GATE_FULL
    elif not queued.asks:
        # There is room for it: only its own host keeps it.
        return None
    else:
        reason = WaitReason.ASKING
    return Wait(
        reason, gate.name, known.limit, known.owners, gate.host, position
    )
