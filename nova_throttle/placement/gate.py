# SPDX-License-Identifier: Apache-2.0

"""A gate that is kept in Placement, as it was read.

Frozen values. A gate concerns each live migration that leaves, or comes to,
one of its hosts.
"""

import dataclasses

from nova_throttle.placement import names

# A limit that is none: as many as Placement can count. Slots are taken of
# such a gate too, so that a limit which it gets later counts them.
UNLIMITED = 2**31 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """A gate.

    :param uuid: of its provider.
    :param hosts: patterns of the hosts that it limits; without any it
        limits nothing.
    """

    name: str
    uuid: str
    hosts: tuple[str, ...] = ()

    def concerns(self, *hosts: str) -> bool:
        """Tell whether it limits what leaves, or comes to, one of these."""
        return any(names.matches(self.hosts, host) for host in hosts)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What is true of a gate.

    :param limit: its slots; 0 is unlimited.
    :param owners: migration UUIDs.
    :param paused: whether it gives no slot to anybody.
    :param gone: whether it was deleted, or has no slots at all.
    """

    limit: int = 0
    owners: tuple[str, ...] = ()
    paused: bool = False
    gone: bool = False

    @property
    def room(self) -> int:
        """How many slots are free."""
        if self.paused or self.gone:
            return 0
        return (self.limit or UNLIMITED) - len(self.owners)
