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

"""How a snapshot is made of what was seen under the lock."""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import types

from nova_throttle.admission import queue
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill as standstill_lib

Standstill = standstill_lib.Standstill

_ASKING = snapshot_lib.WaitReason.ASKING

# What is said of a standstill: the first reason that there is.
_SAID = {
    Standstill.STOPPING: snapshot_lib.WaitReason.STOPPING,
    Standstill.STARTING: snapshot_lib.WaitReason.STARTING,
    Standstill.COUNTING: snapshot_lib.WaitReason.STARTING,
    Standstill.PAUSED: snapshot_lib.WaitReason.PAUSED,
}


@dataclasses.dataclass(frozen=True)
class Look:
    """What a controller saw of itself at one instant.

    :param reserved: for whom slots are kept, by gate.
    :param queued: all that wait, in no order.
    :param consents: what each request waits for at another host.
    :param now: seconds, monotonic.
    """

    gates: Mapping[str, snapshot_lib.GateState]
    reserved: queue.Reservations
    queued: list[queue.Waiting]
    consents: Mapping[str, snapshot_lib.Wait]
    standstill: frozenset[Standstill]
    now: float


def snapshot(look: Look) -> snapshot_lib.Snapshot:
    """Make the frozen value of a look."""
    stands_still = _stands_still(look)
    entries = tuple(
        snapshot_lib.QueueEntry(
            migration_uuid=waiting.request.migration_uuid,
            instance_uuid=waiting.request.instance_uuid,
            destination=waiting.request.destination,
            priority=waiting.priority,
            position=position,
            seconds_waited=look.now - waiting.since,
            waits_for=stands_still or _waits(waiting, look),
        )
        for position, waiting in enumerate(queue.in_order(look.queued), 1)
    )
    return snapshot_lib.Snapshot(
        types.MappingProxyType(dict(look.gates)),
        entries,
        Standstill.STOPPING in look.standstill,
    )


def _stands_still(look: Look) -> tuple[snapshot_lib.Wait, ...]:
    """Say why nothing at all starts, if so."""
    reason = wait_reason(look.standstill)
    return (snapshot_lib.Wait(reason),) if reason else ()


def wait_reason(
    standstill: Collection[Standstill],
) -> snapshot_lib.WaitReason | None:
    """Return what to say of a standstill; None if there is none."""
    for reason, said in _SAID.items():
        if reason in standstill:
            return said
    return None


def _waits(
    waiting: queue.Waiting, look: Look
) -> tuple[snapshot_lib.Wait, ...]:
    """Say what keeps a queued request from starting."""
    waits = []
    for name in waiting.request.gates:
        wait = _wait(look.gates[name], waiting, look.reserved.get(name, []))
        waits.extend([wait] if wait else [])
    if not waiting.consented:
        remote = look.consents.get(waiting.request.migration_uuid)
        # That another host is being asked is worth saying only if nothing
        # else keeps it.
        if remote and not (waits and remote.reason is _ASKING):
            waits.append(remote)
    return tuple(waits)


def _wait(
    gate: snapshot_lib.GateState,
    waiting: queue.Waiting,
    keepers: list[queue.Waiting],
) -> snapshot_lib.Wait | None:
    ahead = sum(keeper < waiting for keeper in keepers)
    if not gate.limit or gate.limit - len(gate.owners) > ahead:
        return None
    if len(gate.owners) >= gate.limit:
        reason = snapshot_lib.WaitReason.GATE_FULL
    else:
        reason = snapshot_lib.WaitReason.RESERVED
    return snapshot_lib.Wait(reason, gate.name, gate.limit, gate.owners)
