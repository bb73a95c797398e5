# SPDX-License-Identifier: Apache-2.0

"""How many leave and arrive at once, counted from libvirt's domains.

A domain arrives where it is paused and its server's newest record leads to.
Hosts are not looked at in the same instant, so only those count that two
looks in a row have seen.
"""

from collections.abc import Mapping
from collections.abc import Set
import dataclasses

Domains = Mapping[str, Mapping[str, str]]
Routes = Mapping[str, tuple[str, str]]
Seen = Mapping[str, Set[str]]


def arriving(domains: Domains, routes: Routes) -> Seen:
    """Return the names of the domains that arrive on each host.

    :param domains: the states of the domains of each host, by name.
    :param routes: source and destination of a domain's newest record.
    """
    return {
        host: {
            name
            for name, state in found.items()
            if state == 'paused' and _leads_to(routes, name, host)
        }
        for host, found in domains.items()
    }


def leaving(domains: Domains, routes: Routes) -> Seen:
    """Return the names of the domains that leave each host."""
    on_the_way = set[str]().union(*arriving(domains, routes).values())
    return {
        host: {
            name
            for name in found
            if name in on_the_way and not _leads_to(routes, name, host)
        }
        for host, found in domains.items()
    }


def _leads_to(routes: Routes, name: str, host: str) -> bool:
    return name in routes and routes[name][1] == host


@dataclasses.dataclass
class Limits:
    """The most that were seen at once on any host."""

    out: int
    into: int
    most_out: int = 0
    most_into: int = 0

    def __post_init__(self) -> None:
        self._leaving: Seen = {}
        self._arriving: Seen = {}

    def look(self, domains: Domains, routes: Routes) -> None:
        """Count what is there now and was there the last time."""
        out, into = leaving(domains, routes), arriving(domains, routes)
        self.most_out = max(self.most_out, _most(self._leaving, out))
        self.most_into = max(self.most_into, _most(self._arriving, into))
        self._leaving, self._arriving = out, into

    def broken(self) -> list[str]:
        """Return which limit did not hold, in words."""
        found = []
        if self.most_out > self.out:
            found.append(f'{self.most_out} left at once, limit {self.out}')
        if self.most_into > self.into:
            found.append(
                f'{self.most_into} arrived at once, limit {self.into}'
            )
        return found


def _most(before: Seen, now: Seen) -> int:
    counts = (
        len(names & before.get(host, set())) for host, names in now.items()
    )
    return max(counts, default=0)
