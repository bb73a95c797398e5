# SPDX-License-Identifier: Apache-2.0

"""What Nova says of a host that is drained.

Frozen plain values, as its API had them at one instant: a drain has no store
of its own.
"""

from collections.abc import Mapping
import dataclasses
import datetime

LIVE = 'live-migration'
COLD = 'migration'

# Statuses of migrations that nobody works on any more.
COMPLETED = frozenset({'completed', 'confirmed', 'done'})
FAILED = frozenset({'failed', 'error'})
OVER = COMPLETED | FAILED | {'cancelled', 'reverted'}
# A cold one, or a resize, that somebody has to confirm or to revert.
UNCONFIRMED = 'finished'
# It waits for its turn.
QUEUED = frozenset({'accepted', 'queued'})
# The guest has the network, or is about to be switched over.
ON_THE_WIRE = frozenset({'running', 'post-migrating', 'migrating'})

MARK = 'drain: '
CANCELLED_MARK = 'cancelled drain: '


@dataclasses.dataclass(frozen=True)
class Service:
    """The nova-compute of a host.

    :param up: whether it has reported in time.
    :param reason: why it is disabled.
    """

    id: str
    host: str
    zone: str = ''
    enabled: bool = True
    up: bool = True
    reason: str = ''

    @property
    def is_drained(self) -> bool:
        """Whether a drain is what has disabled it."""
        return not self.enabled and self.reason.startswith(MARK)

    @property
    def was_drained(self) -> bool:
        """Whether a drain has disabled it that may have been cancelled."""
        marks = MARK, CANCELLED_MARK
        return not self.enabled and self.reason.startswith(marks)

    @property
    def why(self) -> str:
        """Return the reason without the mark of a drain."""
        for mark in (MARK, CANCELLED_MARK):
            if self.reason.startswith(mark):
                return self.reason[len(mark) :]
        return self.reason


@dataclasses.dataclass(frozen=True)
class Server:
    """A server.

    :param status: as users see it, such as ACTIVE.
    :param task: what is being done with it; empty is nothing.
    :param lock: why it is locked; None is not.
    :param memory: MiB.
    """

    uuid: str
    name: str
    host: str
    status: str = 'ACTIVE'
    task: str = ''
    lock: str | None = None
    tags: frozenset[str] = frozenset()
    memory: int = 0
    created: str = ''


@dataclasses.dataclass(frozen=True)
class Migration:
    """A migration record.

    :param kind: Nova's migration type.
    :param created: when it was asked for.
    :param updated: when the record was changed last.
    """

    id: int
    uuid: str
    server: str
    kind: str
    source: str
    destination: str
    status: str
    created: datetime.datetime
    updated: datetime.datetime

    @property
    def over(self) -> bool:
        """Whether nobody works on it any more."""
        return self.status in OVER

    @property
    def is_moving(self) -> bool:
        """Whether it is under way."""
        return not self.over and self.status != UNCONFIRMED


@dataclasses.dataclass(frozen=True)
class Transfer:
    """How much memory of a guest has to be moved, in bytes."""

    total: int
    remaining: int


@dataclasses.dataclass(frozen=True)
class Facts:
    """A host at one instant.

    :param servers: those that are on it.
    :param migrations: out of it, the oldest first.
    :param moved: servers that have left it in its present drain.
    :param unconfirmed: servers that have left it, if they are confirmed.
    :param others: hosts that may receive: enabled, up, in the same zone.
    :param transfers: of migrations on the wire, by their ids.
    :param at: the instant.
    """

    service: Service
    servers: tuple[Server, ...]
    migrations: tuple[Migration, ...]
    unconfirmed: tuple[Server, ...]
    at: datetime.datetime
    moved: tuple[Server, ...] = ()
    others: tuple[str, ...] = ()
    transfers: Mapping[int, Transfer] = dataclasses.field(default_factory=dict)

    def moving(self) -> dict[str, Migration]:
        """Return the migrations under way, by server."""
        return {m.server: m for m in self.migrations if m.is_moving}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left on it, nor may come back."""
        return not self.servers and not self.unconfirmed
