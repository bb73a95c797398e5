# SPDX-License-Identifier: Apache-2.0

"""What happens when, made from a seed and nothing else.

The same seed gives the same requests and faults. A request does not name a
server: ``pick`` chooses among those that are there when its time comes.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import random

# Nova's limit of a source, and ours of a destination.
LIMITS = ((2, 1), (1, 1), (2, 2), (3, 2))
ABORTS = 0.15
OVERLAPS = 0.3
# Longer than the time-out of a message, and than a service is missed.
LONG = 0.1, (62.0, 80.0)
SHORT = (2.0, 15.0)
# From one fault to the next: two at once, or when services are back, because
# migrations that never begin show nothing.
SOON, LATER = (0.0, 3.0), (10.0, 25.0)


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of a user.

    :param hosts: where to migrate, the first that is not the server's own;
        empty leaves it to the scheduler.
    """

    at: float
    action: str
    pick: int
    hosts: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trouble:
    """A fault, on as many compute hosts as it needs."""

    at: float
    fault: str
    hosts: tuple[str, ...]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Schedule:
    """All that happens, in order."""

    seed: int
    seconds: float
    limit: int
    incoming: int
    requests: tuple[Request, ...]
    troubles: tuple[Trouble, ...]

    def events(self) -> list[Request | Trouble]:
        """Return requests and faults in the order of their times."""
        both: list[Request | Trouble] = [*self.requests, *self.troubles]
        return sorted(both, key=lambda event: event.at)


def make(
    seed: int, seconds: float, hosts: Sequence[str], faults: Mapping[str, int]
) -> Schedule:
    """Make what happens.

    :param hosts: the compute hosts.
    :param faults: on how many compute hosts each fault is.
    """
    limit, incoming = random.Random(f'{seed} limits').choice(LIMITS)
    return Schedule(
        *(seed, seconds, limit, incoming),
        tuple(_requests(random.Random(f'{seed} requests'), seconds, hosts)),
        tuple(
            _troubles(random.Random(f'{seed} faults'), seconds, hosts, faults)
        ),
    )


def _requests(
    chance: random.Random, seconds: float, hosts: Sequence[str]
) -> Iterator[Request]:
    at = 0.0
    while True:
        at += chance.uniform(1, 6)
        if at >= seconds:
            return
        pick = chance.randrange(1000)
        if chance.random() < ABORTS:
            yield Request(round(at, 1), 'abort', pick)
            continue
        named = chance.random() < 0.8
        chosen = tuple(chance.sample(hosts, 2)) if named else ()
        yield Request(round(at, 1), 'migrate', pick, chosen)


def _troubles(
    chance: random.Random,
    seconds: float,
    hosts: Sequence[str],
    faults: Mapping[str, int],
) -> Iterator[Trouble]:
    """Take each fault once in a random order, then each again, and so on.

    The first comes when some migrations are on their way.
    """
    at, deck = LATER[0], list[str]()
    while at < seconds:
        deck = deck or chance.sample(list(faults), len(faults))
        fault = deck.pop()
        where = tuple(chance.sample(hosts, faults[fault]))
        often, span = LONG
        lasts = chance.uniform(*(span if chance.random() < often else SHORT))
        yield Trouble(round(at, 1), fault, where, round(lasts, 1))
        at += chance.uniform(*(SOON if chance.random() < OVERLAPS else LATER))
