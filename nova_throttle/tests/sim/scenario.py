# SPDX-License-Identifier: Apache-2.0

"""What a run is made of."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    """The numbers of a run; times are in seconds of the virtual clock.

    :param span: requests come and faults happen during this time.
    :param hot: how many hosts most requests go to; 0 is all alike.
    :param loss: share of messages that are lost.
    :param double: share of messages that come twice.
    :param slow: share of messages that are late, some by more than a call
        waits.
    :param crashes: hosts that are killed and come back.
    :param plain: hosts that don't have the product at first.
    :param swaps: restarts with another version: with the product or without.
    :param resizes: limits that are changed.
    :param cancels: requests that are cancelled, or aborted.
    :param changes: requests that get another priority, or are held a while.
    :param pauses: hosts that close and go on.
    :param mute: hosts that are cut off until all is calm.
    :param link: how many may be on the wire at a time, out of each host and
        into each; 0 is without this second stage.
    :param rack: how many may be in progress in all, at a gate that the first
        host keeps; 0 is without it.
    :param senders: messages that a host sends at a time.
    :param silent: of these, to hosts that did not answer the last one.
    :param backward: share of restarts with a clock that was set back.
    :param latency: of a message; it is constant on a perfect bus.
    """

    hosts: int = 20
    requests: int = 300
    seed: int = 0
    span: float = 600.0
    duration: float = 20.0
    hot: int = 0
    incoming: int = 2
    outgoing: int = 1
    priorities: int = 1
    loss: float = 0.0
    double: float = 0.0
    slow: float = 0.0
    crashes: int = 0
    plain: int = 0
    swaps: int = 0
    resizes: int = 0
    cancels: int = 0
    changes: int = 0
    pauses: int = 0
    backward: float = 0.0
    mute: int = 0
    link: int = 0
    rack: int = 0
    senders: int = 32
    silent: int = 8
    latency: float = 0.01
    interval: float = 60.0
    timeout: float = 30.0
    down_time: float = 60.0

    @property
    def is_bad(self):
        """Whether the bus is not perfect."""
        return bool(self.loss or self.double or self.slow)

    @property
    def is_stormy(self):
        """Whether anything may be known wrongly for a while."""
        return self.is_bad or bool(
            self.crashes or self.plain or self.swaps or self.mute
        )
