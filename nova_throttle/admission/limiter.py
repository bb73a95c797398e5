# SPDX-License-Identifier: Apache-2.0

"""The owned slots of one gate.

A slot belongs to a named owner, so it can be neither taken twice nor given
back by somebody else. There are never more owners than slots, except after
the limit was lowered: then present owners finish and nobody is added.
"""

import math

from nova_throttle import exception

UNLIMITED = 0


class Limiter:
    """Count who is in progress at one gate.

    Think of a cloakroom with numbered hooks: a coat hangs under its owner's
    name, and handing out a hook needs no guess about who still has one.

        gate = Limiter('source', 1)
        gate.acquire('a')
        gate.room()          # 0
        gate.release('a')    # True, and False when asked again

    Not thread-safe: the controller holds its lock around every call.

    :param name: the gate's name.
    :param limit: slots; 0 is unlimited.
    :raises InvalidLimit: if the limit is negative.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self._owners: dict[str, None] = {}
        self._ending: set[str] = set()
        self.resize(limit)

    def __repr__(self) -> str:
        limit = 'unlimited' if self.limit == UNLIMITED else self.limit
        return f'<Limiter {self.name}: {len(self._owners)} of {limit}>'

    @property
    def owners(self) -> tuple[str, ...]:
        """The present owners, the longest-standing first."""
        return tuple(self._owners)

    def room(self) -> float:
        """Return how many owners may be added: 0 or less means none."""
        if self.limit == UNLIMITED:
            return math.inf
        return self.limit - len(self._owners)

    def soon(self) -> float:
        """Return how many may be added once those that end soon have."""
        return self.room() + len(self._ending)

    def note_end(self, owner: str) -> bool:
        """Note that an owner gives its slot back soon.

        :returns: whether that is news of an owner.
        """
        if owner not in self._owners or owner in self._ending:
            return False
        self._ending.add(owner)
        return True

    def acquire(self, owner: str) -> None:
        """Give a slot to an owner.

        :raises AlreadyOwner: if it has one.
        :raises GateFull: if none is free.
        """
        if owner not in self._owners and self.room() <= 0:
            raise exception.GateFull(gate=self.name, limit=self.limit)
        self.adopt(owner)

    def adopt(self, owner: str) -> None:
        """Give a slot to an owner that is in progress whatever we say.

        :raises AlreadyOwner: if it has one.
        """
        if owner in self._owners:
            raise exception.AlreadyOwner(owner=owner, gate=self.name)
        self._owners[owner] = None

    def release(self, owner: str) -> bool:
        """Take an owner's slot back.

        :returns: whether it had one: releasing twice is harmless.
        """
        self._ending.discard(owner)
        return self._owners.pop(owner, self) is None

    def resize(self, limit: int) -> None:
        """Change the number of slots; present owners keep theirs.

        :raises InvalidLimit: if the limit is negative.
        """
        if limit < 0:
            raise exception.InvalidLimit(gate=self.name, limit=limit)
        self.limit = limit
