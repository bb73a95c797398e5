# SPDX-License-Identifier: Apache-2.0

"""What a source and a destination do, step by step, in a world.

Each function is a thread of a service, and yields before each of its steps:
there it may fail, wait for long, or die with its service. What it decides is
decided by the product's own outcome; around that, it does what Nova's and
our methods do, in their order.
"""

import dataclasses

from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.outcome import course
from nova_throttle.outcome import reception
from nova_throttle.outcome import standing
from nova_throttle.outcome import verdict
from nova_throttle.outcome import words
from nova_throttle.tests.unit.outcome import world as world_lib

Course = course.Course
Reception = reception.Reception
State = lifecycle.State
Verdict = verdict.Verdict

FAULTS = (world_lib.Fault, exception.ThrottleError)


@dataclasses.dataclass(frozen=True)
class Call:
    """What another service is asked; the answer is its result."""

    host: str
    make: object


# The destination


def take_over(world, here, source):
    """Answer the source's last message: late_post, and Nova's handler."""
    server = world.server
    yield 'read'
    comes = standing.comes_to(world.records, server, here)
    todo = reception.receive(
        here, source, server, comes, lambda: world.see(here)
    )
    busy = exception.ServerBusy(
        host=here, at=server.host, task_state=server.task_state
    )
    if todo is Reception.NOT_NOW:
        raise busy
    if todo in (Reception.DONE, Reception.OLD_NEWS):
        return
    rested = todo is Reception.FINISH_LATE
    if rested:
        yield 'make it migrate'
        if server.task_state is not None:
            raise busy
        server.task_state = words.MIGRATING
    try:
        yield from _finish_arrival(world, here, source)
    except FAULTS:
        if rested and server.host == here:
            _put_to_rest(server)
        raise


def _finish_arrival(world, here, source):
    server, failed = world.server, False
    yield 'bind the ports'
    world.activate(here)
    try:
        yield 'let the driver finish'
        world.finished.add(here)
    except world_lib.Fault:
        failed = True
    if server.task_state != words.MIGRATING:
        raise world_lib.Fault
    server.host, server.task_state = here, None
    yield 'unbind the source'
    if failed:
        raise world_lib.Fault
    world.unbind(source)


def _put_to_rest(server):
    if server.task_state == words.MIGRATING:
        server.task_state = None


def see(world, here):
    yield 'look'
    return world.see(here)


def take_over_of_dead(world, here, record):
    """Finish for a source that is down: dead_sources."""
    yield 'read'
    found = world.standing(record)
    if reception.takes_over(found, lambda: world.see(here)):
        yield 'bind the ports'
        world.activate(here)
        yield from take_over(world, here, record.source_compute)
        yield from _give_back(world, record, None)
        yield 'give the record its end'
        world.complete(record)


# The source


def end(world, host, entry, believed, succeeded):
    """End what was in the driver: Ending."""
    record = entry.record
    found = verdict.believe(believed, succeeded)
    while found is None:
        try:
            found = yield from _find(world, host, record)
        except FAULTS:
            yield 'wait'
    if found is Verdict.ARRIVED:
        yield from _note_arrival(entry)
        yield from _finish(world, host, record)
        yield 'forget it'
        del world.journals[host][record.uuid]
    elif found is Verdict.STAYED:
        yield from _roll_back(world, host, entry)
    else:
        yield from _begin_clean_up(world, host, entry, 'error')


def _note_arrival(entry):
    try:
        yield 'note that it has arrived'
        entry.state = State.ARRIVED
    except world_lib.Fault:
        pass  # a restart finds out


def _finish(world, host, record):
    """Do what Nova's post does; see that the server was taken over."""
    yield 'activate the ports'
    world.activate(record.dest_compute)
    yield 'clean up'
    world.destroy(host, record)
    yield _tell(world, host, record)
    yield 'give the record its end'
    world.complete(record)
    yield 'delete the allocation'
    world.allocations.pop(record.uuid, None)
    if world.server.host == host:
        raise world_lib.Fault


def _tell(world, host, record):
    dest = record.dest_compute
    return Call(dest, lambda: take_over(world, dest, host))


def _finish_again(world, host, record):
    try:
        yield from _finish(world, host, record)
    except FAULTS:
        if world.server.host == host:
            yield 'activate the ports'
            world.activate(record.dest_compute)
            yield _tell(world, host, record)
        raise


def _find(world, host, record):
    yield 'look'
    here, dest = world.see(host), record.dest_compute
    server_host = world.server.host
    if server_host == host and here is not verdict.Sight.RUNS:
        there = yield Call(dest, lambda: see(world, dest))
    else:
        there = verdict.Sight.ABSENT
    return verdict.find(
        server_host, host, dest, lambda: here, lambda: False, lambda: there
    )


def _roll_back(world, host, entry):
    """Have Nova roll back; what fails of it is the cleanup's."""
    record = entry.record
    try:
        found = world.standing(record, host)
        if not found.is_ours:
            raise found.reason
        yield from _undo(world, record)
        yield 'put it to rest'
        _put_to_rest(world.server)
        record.status = 'failed'
        yield 'forget it'
        del world.journals[host][record.uuid]
    except FAULTS:
        yield from _begin_clean_up(world, host, entry, 'failed')


def _undo(world, record):
    dest = record.dest_compute
    yield 'revert the allocations'
    world.allocations.pop(record.uuid, None)
    world.allocations[world_lib.SERVER] = record.source_compute
    yield 'unbind the destination'
    world.unbind(dest)
    yield 'undo what the destination prepared'
    world.destroy(dest, record)


def resume(world, host, entry):
    """Go on with what a restart or a fault interrupted: Resumption."""
    if entry.status:
        yield from _clean_up(world, host, entry)
        return
    record, dest = entry.record, entry.record.dest_compute
    todo = course.of(entry.state, world.standing(record, host), dest)
    if todo is Course.LOOK:
        yield 'end what still moves'
        if world.moving is record:
            world.end(succeeded=False)
        found = yield from _find(world, host, record)
        arrived = found is Verdict.ARRIVED
        todo = Course.FINISH if arrived else Course.END
    if todo is Course.END:
        yield from _begin_clean_up(world, host, entry, 'error')
        return
    yield from _note_arrival(entry)
    if todo is Course.FINISH:
        yield from _finish_again(world, host, record)
    yield from _begin_clean_up(world, host, entry, 'completed')


def _begin_clean_up(world, host, entry, status):
    arrived = status == 'completed'
    yield 'note how it ends'
    entry.state = State.ARRIVED if arrived else State.ROLLING_BACK
    entry.status = status
    yield from _clean_up(world, host, entry)


def _clean_up(world, host, entry):
    """Give back what it holds: Rollback."""
    record = entry.record
    found = world.standing(record, host)
    if entry.status != 'completed' and found.is_ours:
        yield from _undo(world, record)
    else:
        yield from _give_back(world, record, host)
    yield 'close'
    if world.standing(record, host).is_ours and entry.status != 'completed':
        _put_to_rest(world.server)
    if entry.status == 'completed':
        world.complete(record)
    elif record.status not in world_lib.FINAL:
        record.status = entry.status
    yield 'forget it'
    del world.journals[host][record.uuid]


def _give_back(world, record, host):
    """Give back what is its own, whoever has the server: belongings."""
    yield 'pass its allocation on'
    heir = world.standing(record, host).heir
    held = world.allocations.pop(record.uuid, None)
    if held and heir and heir not in world.allocations:
        world.allocations[heir] = held
    for place in (record.source_compute, record.dest_compute):
        yield 'unbind the ports'
        if not world.standing(record, host).uses(place):
            world.unbind(place)
