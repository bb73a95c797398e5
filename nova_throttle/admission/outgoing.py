# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The source's half of the agreement between two hosts.

A request starts only on an offer that answers the last thing said about it,
in the same instant in which its own host has room. It never holds a slot of
either host while it waits for the other.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import functools
import threading
import time
from typing import TYPE_CHECKING

from nova_throttle.admission import consent
from nova_throttle.admission import peer as peer_lib
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import wire

if TYPE_CHECKING:
    from nova_throttle.admission import controller
    from nova_throttle.admission import queue

Standing = wire.Standing
Peer = peer_lib.Peer


class Outgoing(consent.Consents):
    """Asks destinations for slots, for the controller of one host.

    :param host: this host.
    :param incarnation: greater than that of this host's last life.
    :param post: called with a destination that a message is due for,
        without a lock held; it must return at once. What is sent is made by
        compose() when it is sent.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        host: str,
        incarnation: int,
        post: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._incarnation = incarnation
        self._post = post
        self._clock = clock
        self._serial = 0
        self._peers: dict[str, Peer] = {}
        self._due: dict[str, None] = {}

    def bind(
        self, throttle: 'controller.Controller', lock: threading.Lock
    ) -> None:
        """Get to know the controller and its lock."""
        self._throttle = throttle
        self._lock = lock

    # The controller holds its lock around each of these.

    def queued(self, waiting: 'queue.Waiting', free: consent.Free) -> bool:
        """Note that a request waits; see the port."""
        peer = self._peer(waiting.request.consent)
        now = self._clock()
        if peer.open_until is not None and now >= peer.open_until:
            peer.open_until = None
        if not peer.waiting:
            # Nothing was expected of it until now.
            peer.heard_at = now
        peer.add(waiting, free(waiting.request.gates))
        self._mark(peer)
        return peer.open_until is not None

    def started(self, request: request_lib.Request) -> None:
        """Note that a request is in progress; its host tells by itself."""
        if request.consent:
            self._peer(request.consent).hold(request)

    def adopted(self, request: request_lib.Request) -> None:
        """Note that a request is in progress that never waited here."""
        if request.consent:
            peer = self._peer(request.consent)
            peer.hold(request)
            # It may be new to a destination that was restarted as well.
            peer.complete = True
            self._mark(peer)

    def left(self, request: request_lib.Request) -> None:
        """Note that a request is over or will never start."""
        if request.consent:
            peer = self._peer(request.consent)
            peer.drop(request.migration_uuid)
            self._mark(peer)

    def retreat(self) -> list[str]:
        """Take back that requests are ready; see the port."""
        void: list[str] = []
        for peer in self._peers.values():
            void.extend(peer.retreat())
            self._mark(peer)
        return void

    def refresh(
        self, free: consent.Free, impatient: Iterable['queue.Waiting']
    ) -> None:
        """Let as many requests be ready as could start."""
        for waiting in impatient:
            if not waiting.consented:
                peer = self._peer(waiting.request.consent)
                peer.insist(waiting.request.migration_uuid)
                self._mark(peer)
        for peer in self._peers.values():
            if peer.idle and peer.ready_up(free):
                self._mark(peer)

    def waits(self) -> Mapping[str, snapshot_lib.Wait]:
        """Say what each request waits for at its destination."""
        return {
            uuid: wait
            for peer in self._peers.values()
            for uuid, wait in peer.waits()
        }

    def _peer(self, host: str) -> Peer:
        peer = self._peers.get(host)
        if peer is None:
            peer = self._peers[host] = Peer(host)
        return peer

    def _mark(self, peer: Peer) -> None:
        if peer.open_until is not None:
            peer.forget_news()
        elif peer.has_news:
            self._due[peer.host] = None

    # Nobody holds the lock around each of these.

    def flush(self) -> None:
        """Have sent what is due."""
        if not self._due:
            return
        with self._lock:
            due, self._due = list(self._due), {}
        for host in due:
            self._post(host)

    def compose(self, host: str, complete: bool = False) -> wire.Ask | None:
        """Make the message that a destination has to get now.

        :param complete: say all, whatever was said before.
        :returns: None if there is nothing to say.
        """
        with self._lock:
            peer = self._peer(host)
            peer.complete = peer.complete or complete
            if not peer.has_news and not complete:
                return None
            self._serial += 1
            return wire.Ask(
                source=self._host,
                incarnation=self._incarnation,
                serial=self._serial,
                knows=peer.incarnation,
                complete=peer.complete,
                items=peer.take_news(self._serial),
            )

    def receive(self, tell: wire.Tell) -> None:
        """Take up what a destination tells; twice, or late, is harmless."""
        with self._lock:
            offers = self._read(tell)
        for offer in offers:
            valid = functools.partial(self._is_valid, tell, offer)
            if not self._throttle.offer(
                offer.migration_uuid, offer.keep, valid
            ):
                self._decline(tell, offer)
        self.flush()

    def _read(self, tell: wire.Tell) -> list[wire.Offer]:
        """Take note of a message; the caller holds the lock."""
        peer = self._peer(tell.destination)
        if tell.answers > self._incarnation:
            # The clock of this host was set back between its two lives.
            self._incarnation = tell.answers + 1
            for each in self._peers.values():
                each.complete = True
                # The destinations take back what they gave to this host.
                self._throttle.revoke(each.release())
        if tell.incarnation < peer.incarnation:
            return []
        self._meet(peer, tell.incarnation)
        peer.read(tell)
        peer.heard_at = self._clock()
        if tell.answers != self._incarnation:
            peer.complete = peer.complete or bool(peer.entries)
            self._mark(peer)
            return []
        self._mark(peer)
        return [offer for offer in tell.offers if peer.is_valid(offer)]

    def _meet(self, peer: Peer, incarnation: int) -> None:
        """Note that a destination lives; the caller holds the lock.

        What waits may not go on by a consent of its life before, or because
        it kept no gate.
        """
        if peer.open_until is not None or incarnation != peer.incarnation:
            self._throttle.revoke(peer.release())
        peer.open_until = None
        peer.meet(incarnation)

    def _is_valid(self, tell: wire.Tell, offer: wire.Offer) -> bool:
        """Tell whether an offer holds still; the caller holds the lock."""
        peer = self._peer(tell.destination)
        if tell.answers != self._incarnation:
            return False
        return tell.incarnation == peer.incarnation and peer.is_valid(offer)

    def _decline(self, tell: wire.Tell, offer: wire.Offer) -> None:
        with self._lock:
            if self._is_valid(tell, offer):
                peer = self._peer(tell.destination)
                peer.wait(offer.migration_uuid)
                self._mark(peer)

    def failed(self, host: str) -> None:
        """Note that a message did not get an answer, sent or not."""
        with self._lock:
            peer = self._peer(host)
            peer.complete = True
            peer.silent = True

    def open(self, host: str, seconds: float) -> None:
        """Note that a destination keeps no gate that it can be asked for.

        What waits for it goes on without.

        :param seconds: how long what comes goes on without asking, too.
        """
        with self._lock:
            peer = self._peer(host)
            peer.open_until = self._clock() + seconds
            peer.forget_news()
            waiting = peer.release()
        self._throttle.consent(waiting)

    def consented(self, host: str) -> bool:
        """Tell whether a destination is known to keep no gate."""
        return self._peer(host).open_until is not None

    def unheard(self, age: float) -> list[str]:
        """Return destinations that are waited for and have been quiet.

        Each gets a complete message next.

        :param age: seconds since the last word of it.
        """
        limit = self._clock() - age
        with self._lock:
            hosts = [
                peer.host
                for peer in self._peers.values()
                if peer.waiting and peer.heard_at <= limit
            ]
            for host in hosts:
                self._peers[host].complete = True
        return hosts

    def report(self, host: str, incarnation: int) -> wire.Ask:
        """Tell a destination all, because it asks.

        :param host: the destination.
        :param incarnation: its own: offers of an earlier life are void.
        """
        with self._lock:
            self._meet(self._peer(host), incarnation)
        ask = self.compose(host, complete=True)
        assert ask is not None  # a complete one always says something
        return ask
