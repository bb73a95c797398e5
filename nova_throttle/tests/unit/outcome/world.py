# SPDX-License-Identifier: Apache-2.0

"""A server, its three hosts and Nova's records, as far as outcome matters.

What may never happen raises at once: a domain or a port binding that is
deleted where the guest runs, a domain that is deleted where it may come to,
and a migration that is completed though nothing was finished for it.
"""

import dataclasses

from nova_throttle import lifecycle
from nova_throttle.outcome import course
from nova_throttle.outcome import standing
from nova_throttle.outcome import verdict
from nova_throttle.outcome import words

HOSTS = ('a', 'b', 'c')
SERVER = 'server'

Sight = verdict.Sight
State = lifecycle.State


class Fault(Exception):
    """A step fails, or its answer is lost."""


@dataclasses.dataclass
class Server:
    """The server, in the database."""

    uuid: str = SERVER
    host: str = 'a'
    task_state: str | None = None
    vm_state: str = words.ACTIVE


@dataclasses.dataclass(eq=False)
class Record:
    """A migration, in the database."""

    id: int
    source_compute: str
    dest_compute: str
    status: str
    migration_type: str = words.LIVE
    instance_uuid: str = SERVER

    @property
    def uuid(self):
        return f'migration-{self.id}'


@dataclasses.dataclass
class Entry:
    """A migration, in the journal of its source."""

    record: Record
    state: State = State.TRANSFERRING
    status: str | None = None


class World:
    """All that outlives the services."""

    def __init__(self):
        self.server = Server()
        self.records = []
        self.journals = {host: {} for host in HOSTS}
        # Whether each is active.
        self.bindings = {'a': True}
        # By consumer.
        self.allocations = {SERVER: 'a'}
        # Where the guest runs, and where a domain is or is about to be.
        self.guest = 'a'
        self.domains = {'a'}
        # Which migration is in the hypervisor.
        self.moving = None
        # Where all was done for a guest that had come.
        self.finished = {'a'}

    # The records

    def standing(self, record, host=None):
        """Weigh the records for a migration, as a host sees them."""
        return standing.weigh(
            record,
            self.server,
            self.records,
            lambda uuid: self._state_of(host, uuid),
            lambda found: False,
        ).decided()

    def _state_of(self, host, uuid):
        entry = self.journals.get(host, {}).get(uuid)
        return entry and course.known_state(entry.state, entry.status)

    def add_record(self, dest, status):
        record = Record(len(self.records), self.server.host, dest, status)
        self.records.append(record)
        return record

    def in_hand(self, host):
        """Return what a host has in hand; another request is refused."""
        states = (self._state_of(host, uuid) for uuid in self.journals[host])
        return any(state in lifecycle.IN_HAND for state in states)

    def refuse(self, dest):
        """Refuse a second request: it gives back what it holds."""
        record = self.add_record(dest, 'queued')
        self.server.task_state = words.MIGRATING
        self.bindings.setdefault(dest, False)
        self.journals[record.source_compute][record.uuid] = Entry(
            record, State.ROLLING_BACK, 'error'
        )

    def complete(self, record):
        went_on = any(
            r.id > record.id and r.status not in standing.UNDONE
            for r in self.records
        )
        assert record.dest_compute in self.finished or went_on, (
            f'{record.uuid} is completed, and was not finished'
        )
        record.status = 'completed'

    # The hypervisors

    def begin(self, dest):
        """Begin a live migration, as far as it matters here."""
        record = self.add_record(dest, 'running')
        self.server.task_state = words.MIGRATING
        self.allocations[record.uuid] = self.allocations.pop(SERVER)
        self.allocations[SERVER] = dest
        self.bindings[dest] = False
        self.journals[record.source_compute][record.uuid] = Entry(record)
        self.finished.discard(dest)
        self.domains.add(dest)
        self.moving = record
        return record

    def end(self, succeeded):
        """Have the hypervisor's operation end."""
        record, self.moving = self.moving, None
        if succeeded:
            self.guest = record.dest_compute
            self.domains.discard(record.source_compute)
        else:
            self.domains.discard(record.dest_compute)

    def see(self, host):
        if host not in self.domains:
            return Sight.ABSENT
        return Sight.RUNS if host == self.guest else Sight.MOVES

    def destroy(self, host, record):
        """Delete what there is of a domain on a host."""
        assert host != self.guest, f'the guest on {host} is destroyed'
        coming = self.moving
        assert (
            coming is None or coming is record or coming.dest_compute != host
        ), f'the guest that comes to {host} is destroyed'
        self.domains.discard(host)

    # The ports and the allocations

    def activate(self, host):
        assert host == self.guest, f'ports are bound to {host}'
        for other in self.bindings:
            self.bindings[other] = False
        self.bindings[host] = True

    def unbind(self, host):
        assert host != self.guest, f'the ports on {host} are unbound'
        self.bindings.pop(host, None)

    # What must be true in the end

    def assert_quiet(self):
        """Check that nothing is stuck, and all is where the guest is."""
        here = self.guest
        assert self.server == Server(host=here), (self.server, here)
        assert all(r.status in FINAL for r in self.records), self.records
        assert not any(self.journals.values()), self.journals
        assert self.bindings == {here: True}, (self.bindings, here)
        assert self.allocations == {SERVER: here}, (self.allocations, here)
        assert self.domains == {here}, (self.domains, here)


FINAL = ('completed', 'error', 'failed')
