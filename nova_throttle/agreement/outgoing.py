# SPDX-License-Identifier: Apache-2.0

"""A controller whose requests need slots of other hosts.

One lock is held around both: what a destination is told, and whether a
request starts, change in the same step.
"""

from collections.abc import Callable
from collections.abc import Mapping
import time
import types

from nova_throttle.admission import controller
from nova_throttle.admission import effects
from nova_throttle.admission import queue
from nova_throttle.admission import remote
from nova_throttle.agreement import messages
from nova_throttle.agreement import source as source_lib
from nova_throttle import exception


class OutgoingController(controller.Controller):
    """Decide when each request may start, together with other hosts.

    :param stages: see the controller.
    :param start: see the controller.
    :param source: this host's half of the agreement.
    :param tell: called with a host that a message is due for, without a
        lock held; it must return at once. What is sent is made by compose()
        when it is sent.
    :param others: who else keeps gates, by their name.
    :param patience: see the queue.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        stages: Mapping[str, Mapping[str, int]],
        start: Callable[[effects.Grant], None],
        *,
        source: source_lib.Source,
        tell: Callable[[str], None],
        others: Mapping[str, remote.Keeper] = types.MappingProxyType({}),
        patience: int = queue.PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            stages,
            start,
            tell=tell,
            keepers={**dict.fromkeys(source.gates, source), **others},
            patience=patience,
            clock=clock,
        )
        self._source = source

    def resize_link(self, gate: str, transfers: int) -> None:
        """Change how many transfers at a time this host's link takes.

        Destinations that take as many as their sources have found to be right
        are told.

        :param gate: its name.
        :raises InvalidLimit: if the number is negative.
        """
        if transfers < 0:
            raise exception.InvalidLimit(gate=gate, limit=transfers)
        with self._lock:
            self._source.resize(transfers)
            found = self._admission.resize(gate, transfers)
        self._dispatcher.carry_out(found)

    def compose(
        self, host: str, complete: bool = False
    ) -> messages.Ask | None:
        """Make the message that a destination has to get now.

        :param complete: say all, whatever was said before.
        :returns: None if there is nothing to say.
        """
        with self._lock:
            return self._source.compose(host, complete)

    def receive(self, tell: messages.Tell) -> None:
        """Take up what a destination tells; twice, or late, is harmless."""
        self._apply(lambda: self._admission.answer(self._source.read(tell)))
        # One by one: each may start a request.
        for offer in tell.offers:
            with self._lock:
                granted = self._source.accept(tell, offer)
                if granted is None:
                    continue
                found = self._admission.grant(granted)
            self._dispatcher.carry_out(found)

    def failed(self, host: str) -> None:
        """Note that a message did not get an answer, sent or not."""
        # What waits for it waits on: it may be silent for a moment only.
        self._apply(lambda: self._admission.answer(self._source.fail(host)))

    def open(self, host: str, seconds: float) -> None:
        """Note that a destination keeps no gate that it can be asked for.

        What waits for it goes on without.

        :param seconds: how long what comes goes on without asking, too.
        """
        self._apply(
            lambda: self._admission.answer(self._source.open(host, seconds))
        )

    def is_open(self, host: str) -> bool:
        """Tell whether a destination is known to keep no gate."""
        with self._lock:
            return self._source.is_open(host)

    def unheard(self, age: float) -> list[str]:
        """Return destinations that are waited for and have been quiet.

        Each gets a complete message next.

        :param age: seconds since the last word of it.
        """
        with self._lock:
            return self._source.unheard(age)

    def report(self, host: str, incarnation: int) -> messages.Ask:
        """Tell a destination all, because it asks.

        :param host: the destination.
        :param incarnation: its own: offers of an earlier life are void.
        """
        with self._lock:
            answers = self._source.meet(host, incarnation)
            found = self._admission.answer(answers)
            # In the same step: nothing may start on a void offer meanwhile.
            ask = self._source.compose(host, complete=True)
        self._dispatcher.carry_out(found)
        assert ask is not None  # a complete one always says something
        return ask
