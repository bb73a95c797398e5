# SPDX-License-Identifier: Apache-2.0

"""How often each server of a drain was asked for, and what became of it."""

from collections.abc import Mapping
from collections.abc import Sequence
from collections import Counter
import dataclasses

from nova_throttle.drain import facts as facts_lib
from nova_throttle.drain import history
from nova_throttle.drain import options as options_lib

# Nova's word for a server that fits nowhere now; later it may.
NO_ROOM = 'No valid host'


@dataclasses.dataclass
class Tried:
    """The attempts at one server.

    :param asked: whether one is under way.
    :param reason: why the last has failed.
    :param not_before: seconds; when the next may begin.
    :param for_good: whether there is no other.
    :param hosts: where it did not get to.
    """

    count: int = 0
    asked: bool = False
    reason: str = ''
    not_before: float = 0.0
    for_good: bool = False
    hosts: set[str] = dataclasses.field(default_factory=set)

    def is_due(self, now: float) -> bool:
        """Tell whether the next may begin now."""
        return not self.asked and self.not_before <= now


class Attempts:
    """The memory of one run.

    :param options: what was asked for.
    """

    def __init__(self, options: options_lib.Options) -> None:
        self._options = options
        self._tried: dict[str, Tried] = {}
        # MiB that were sent to each host.
        self.load: Counter[str] = Counter()
        self.failures = 0

    @property
    def give_up(self) -> bool:
        """Whether so many have failed that nothing more is begun."""
        most = self._options.max_failures
        return most is not None and self.failures >= most

    def recall(self, facts: facts_lib.Facts) -> None:
        """Count the attempts of another run, as Nova's records tell them."""
        for each in history.last(facts.migrations):
            if each.status in facts_lib.FAILED:
                self._tried.setdefault(each.server, Tried()).count += 1

    def of(self, server: facts_lib.Server) -> Tried:
        """Return the attempts at a server."""
        return self._tried.get(server.uuid, Tried())

    def may_succeed(self, server: facts_lib.Server) -> bool:
        """Tell whether an attempt is under way, or left."""
        tried = self.of(server)
        is_left = tried.count < self._options.attempts
        return tried.asked or (is_left and not tried.for_good)

    def asked(self, server: facts_lib.Server, target: str | None) -> None:
        """Note that a server was asked for."""
        tried = self._tried.setdefault(server.uuid, Tried())
        tried.count += 1
        tried.asked = True
        if target:
            self.load[target] += server.memory

    def failed(
        self, uuid: str, reason: str, now: float, host: str = ''
    ) -> None:
        """Note that an attempt has failed.

        :param host: where it was to go, if that is known.
        """
        tried = self._tried[uuid]
        tried.asked = False
        tried.reason = reason
        tried.not_before = now + self._options.retry_after
        if host:
            tried.hosts.add(host)
        if NO_ROOM not in reason:
            self.failures += 1

    def aborted(self, uuid: str) -> None:
        """Note that somebody has aborted an attempt: it was meant."""
        tried = self._tried[uuid]
        tried.asked = False
        tried.for_good = True
        tried.reason = 'its migration was aborted'

    def target(
        self,
        server: facts_lib.Server,
        others: Sequence[str],
        load: Mapping[str, int],
    ) -> str | None:
        """Choose a host: another one than before, the least loaded.

        :param others: hosts that may receive.
        :param load: MiB that were, or are to be, sent to each.
        :returns: None lets Nova choose.
        """
        known = self._options.targets
        before = self.of(server).hosts
        if not known and not before:
            return None
        fresh = [host for host in known or others if host not in before]
        if not fresh and not known:
            return None
        return min(fresh or known, key=lambda host: load[host])
