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

"""Where the controller asks whether other hosts consent.

A port: the controller reports what happens to its requests, and whoever
stands here has it start those that another host has a slot for.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import threading
from typing import TYPE_CHECKING

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import snapshot as snapshot_lib

if TYPE_CHECKING:
    from nova_throttle.admission import controller
    from nova_throttle.admission import queue

# How many more requests with these gates could start now.
Free = Callable[[tuple[str, ...]], float]


class Consents:
    """Needs nobody's consent.

    The controller calls every method but bind() and flush() with its lock
    held, and flush() without it, after each change.
    """

    def bind(
        self, throttle: 'controller.Controller', lock: threading.Lock
    ) -> None:
        """Get to know the controller and its lock."""

    def queued(self, waiting: 'queue.Waiting', free: Free) -> bool:
        """Note that a request waits.

        :returns: whether it needs no consent, as things are.
        """
        return True

    def started(self, request: request_lib.Request) -> None:
        """Note that a request that waited is in progress."""

    def adopted(self, request: request_lib.Request) -> None:
        """Note that a request is in progress that never waited here."""

    def left(self, request: request_lib.Request) -> None:
        """Note that a request neither waits nor is in progress any more."""

    def retreat(self) -> list[str]:
        """Note that nothing starts any more.

        :returns: requests whose consent, if they have it, is void.
        """
        return []

    def refresh(
        self, free: Free, impatient: Iterable['queue.Waiting']
    ) -> None:
        """Note that the room for more may have changed.

        :param impatient: requests whose turn is reserved from now on.
        """

    def waits(self) -> Mapping[str, snapshot_lib.Wait]:
        """Say what each request waits for at its other host."""
        return {}

    def flush(self) -> None:
        """Have sent what is to be sent."""
