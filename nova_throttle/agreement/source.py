# SPDX-License-Identifier: Apache-2.0

"""The source's half of the agreement between two hosts.

A slot is used only by an offer that answers the last thing said about its
request, in the same step in which the request's own host has room.
"""

from collections.abc import Callable
from collections.abc import Mapping
import math
import time

from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.agreement import messages
from nova_throttle.agreement import told as told_lib

Told = told_lib.Told


class Source(remote.Keeper):
    """Arranges slots of other hosts' gates, for the requests of one host.

    Not thread-safe: the controller holds its lock around every call.

    :param host: this host.
    :param incarnation: greater than that of this host's last life.
    :param gates: names of the gates that other hosts are asked for.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        host: str,
        incarnation: int,
        gates: tuple[str, ...] = (messages.DESTINATION,),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gates = gates
        # How many transfers at a time its host's link takes; 0 is no word.
        self.transfers = 0
        self.incarnation = incarnation
        self._host = host
        self._clock = clock
        self._serial = 0
        self._told: dict[str, Told] = {}
        self._due: dict[str, None] = {}

    # The port

    def note(self, want: remote.Want) -> None:
        """Take note of how a request stands to a gate."""
        told = self._of(want.gate.host)
        now = self._clock()
        if told.is_new(want) and (told.open_until or now) <= now:
            # What waited before goes on without a slot.
            told.open_until = None
        if not told.waiting:
            # Nothing was expected of it until now.
            told.heard_at = now
        told.note(want)
        self._mark(told)

    def due(self) -> tuple[str, ...]:
        """Return, once, which hosts have to be told something."""
        if not self._due:
            return ()
        due, self._due = tuple(self._due), {}
        return due

    def known(self) -> Mapping[request_lib.RemoteGate, remote.Known]:
        """Return what is known of each gate of another host."""
        known: dict[request_lib.RemoteGate, remote.Known] = {}
        for told in self._told.values():
            if told.silent:
                silent = remote.Known(silent=True)
                known.update(dict.fromkeys(self._all_of(told), silent))
            else:
                known.update(told.known)
        return known

    # Messages

    def compose(
        self, host: str, complete: bool = False
    ) -> messages.Ask | None:
        """Make the message that a destination has to get now.

        :param complete: say all, whatever was said before.
        :returns: None if there is nothing to say.
        """
        told = self._of(host)
        told.complete = told.complete or complete
        if not told.has_news and not complete:
            return None
        self._serial += 1
        return messages.Ask(
            source=self._host,
            incarnation=self.incarnation,
            serial=self._serial,
            knows=told.incarnation,
            complete=told.complete,
            items=told.take_news(self._serial),
            transfers=self.transfers,
        )

    def resize(self, transfers: int) -> None:
        """Have all that wait for an answer know how many this link takes."""
        if transfers == self.transfers:
            return
        self.transfers = transfers
        for told in self._told.values():
            told.complete = told.complete or told.has_entries
            self._mark(told)

    def read(self, tell: messages.Tell) -> list[remote.Answer]:
        """Take up a message but for its offers; see accept()."""
        told = self._of(tell.destination)
        answers: list[remote.Answer] = []
        if tell.answers > self.incarnation:
            # The clock of this host was set back between its two lives. The
            # destinations take back what they gave to this host.
            self.incarnation = tell.answers + 1
            for each in self._told.values():
                each.complete = True
                answers += self._withdrawn(each)
        if tell.incarnation < told.incarnation:
            # A late word of its last life.
            return answers
        answers += self.meet(tell.destination, tell.incarnation)
        before = told.unlimited
        told.read(tell)
        answers += self._of_limits(told, before)
        told.heard_at = self._clock()
        if tell.answers == self.incarnation:
            told.disown(tell.offers)
            answers += told.refusals(tell)
        else:
            # It answers this host's last life, and knows nothing of this one.
            told.complete = told.complete or told.has_entries
        self._mark(told)
        return answers

    def accept(
        self, tell: messages.Tell, offer: messages.Offer
    ) -> remote.Granted | None:
        """Return what an offer grants, or None if it is void."""
        told = self._of(tell.destination)
        lives = tell.answers, tell.incarnation
        if lives != (self.incarnation, told.incarnation):
            return None
        return told.accept(offer)

    def meet(self, host: str, incarnation: int) -> list[remote.Answer]:
        """Note which life of a destination speaks.

        What waits may not go on by slots of its life before, or because it
        kept no gate.
        """
        told = self._of(host)
        return self._withdrawn(told) if told.meet(incarnation) else []

    def fail(self, host: str) -> list[remote.Answer]:
        """Note that a message did not get an answer, sent or not."""
        told = self._of(host)
        told.complete = told.silent = True
        return list(told.unanswered())

    def open(self, host: str, seconds: float) -> list[remote.Answer]:
        """Note that a destination keeps no gate that it can be asked for.

        :param seconds: how long what comes goes on without asking, too.
        """
        told = self._of(host)
        told.open_until = until = self._clock() + seconds
        told.unlimited = frozenset()
        told.forget_news()
        return [remote.Waived(gate, until) for gate in self._all_of(told)]

    def is_open(self, host: str) -> bool:
        """Tell whether a destination is known to keep no gate."""
        return self._of(host).open_until is not None

    def unheard(self, age: float) -> list[str]:
        """Return destinations that are waited for and have been quiet.

        Each gets a complete message next.

        :param age: seconds since the last word of it.
        """
        limit = self._clock() - age
        quiet = [
            told
            for told in self._told.values()
            if told.waiting and told.heard_at <= limit
        ]
        for told in quiet:
            told.complete = True
        return [told.host for told in quiet]

    def _of(self, host: str) -> Told:
        told = self._told.get(host)
        if told is None:
            told = self._told[host] = Told(host)
        return told

    def _all_of(self, told: Told) -> list[request_lib.RemoteGate]:
        return [request_lib.RemoteGate(g, told.host) for g in self.gates]

    def _of_limits(
        self, told: Told, before: frozenset[str]
    ) -> list[remote.Answer]:
        """Return what follows from gates that are limited now, or no more.

        :param before: those that were not, as far as was known.
        """
        limited, free = before - told.unlimited, told.unlimited - before
        # What has gone on without a slot has one by now.
        told.complete = told.complete or bool(limited)
        gates = [request_lib.RemoteGate(g, told.host) for g in sorted(limited)]
        answers: list[remote.Answer] = [remote.Withdrawn(g) for g in gates]
        for name in sorted(free):
            gate = request_lib.RemoteGate(name, told.host)
            answers.append(remote.Waived(gate, math.inf))
        return answers

    def _withdrawn(self, told: Told) -> list[remote.Answer]:
        told.unlimited = frozenset()
        return [remote.Withdrawn(gate) for gate in self._all_of(told)]

    def _mark(self, told: Told) -> None:
        if told.open_until is not None:
            told.forget_news()
        elif told.has_news:
            self._due[told.host] = None
