# SPDX-License-Identifier: Apache-2.0

"""Which of the claims that wait for a slot of one gate is next.

A claim is in line as long as its turn is that of its latest entry. What has
left is not looked for: it is dropped when it comes to the head.
"""

import heapq
import itertools

from nova_throttle.agreement import claim as claim_lib

Claim = claim_lib.Claim

_ROOM = 16


class Line:
    """Keep claims in their order.

    Not thread-safe: the destination holds its lock around every call.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Claim]] = []
        self._turns = itertools.count(1)
        self._full = _ROOM

    def add(self, claim: Claim) -> None:
        """Have a claim stand where its order says; again is harmless."""
        claim.turn = next(self._turns)
        heapq.heappush(self._heap, (*claim.order, claim.turn, claim))
        if len(self._heap) > self._full:
            # What left is forgotten in bulk: a heap cannot drop it.
            self._heap = [i for i in self._heap if i[3].turn == i[2]]
            heapq.heapify(self._heap)
            self._full = 2 * len(self._heap) + _ROOM

    def pop(self) -> Claim | None:
        """Take the next out; None if there is none."""
        while self._heap:
            *_, turn, claim = heapq.heappop(self._heap)
            if claim.turn == turn:
                claim.turn = 0
                return claim
        return None
