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


"""The signals that end the demo: each becomes one exception, once.

They can be held back while something must not be torn apart.
"""

from collections.abc import Iterator
import contextlib
import signal
from types import FrameType

# Ctrl-C, a polite kill, a terminal that was closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked us to end.

    :param number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f'ended by {signal.Signals(self.number).name}'


def catch() -> None:
    """Turn the first of the signals into an exception, and drop others."""
    for number in ENDING:
        # Under nohup a closed terminal is none of our business.
        nohup = number == signal.SIGHUP and (
            signal.getsignal(number) == signal.SIG_IGN
        )
        if not nohup:
            signal.signal(number, _interrupt)


def restore() -> None:
    """Let the signals do what they do to any program, at once."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let no signal come while the context lasts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
