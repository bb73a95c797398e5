# SPDX-License-Identifier: Apache-2.0

"""Where the demo works: nothing that it writes is left, however it ends.

A signal ends it at any moment. Nova can't disturb the screen: what it writes
to stdout and stderr goes to a log.
"""

import os
import pathlib
import shutil
import signal
import tempfile
from types import FrameType
from typing import NoReturn

from nova_throttle.demo import options

PREFIX = f'{options.PROG}-'

# Ctrl-C, a polite kill, a terminal that was closed, a reader that has gone.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Workspace:
    """A directory for temporary files, the log, and what leads out of it.

    :ivar out: the stdout of the demo.
    """

    def __init__(self) -> None:
        # A signal must not come between making a thing and knowing of it.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        for number in ENDING:
            # Under nohup a closed terminal is none of our business.
            nohup = number == signal.SIGHUP and (
                signal.getsignal(number) == signal.SIG_IGN
            )
            if not nohup:
                signal.signal(number, self._interrupt)
        self.out, self._err = (os.fdopen(os.dup(fd), 'w') for fd in (1, 2))
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        os.environ['TMPDIR'] = tempfile.tempdir = str(self._folder)
        self._log = self._folder / 'log'
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def leave(self, status: int = 0, why: str = '') -> NoReturn:
        """End the process with a status, and whatever threads Nova has left.

        :param why: what to say on stderr.
        """
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        # No thread finds it by this name, and adds a file meanwhile.
        gone = self._folder.rename(f'{self._folder}-gone')
        shutil.rmtree(gone, ignore_errors=True)
        if why:
            self._err.write(f'{options.PROG}: {why}\n')
            self._err.flush()
        # One that was about to make a directory in it has made it again.
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(status)

    def fail(self, why: str) -> NoReturn:
        """End the process because of a failure, but keep the log."""
        handle, name = tempfile.mkstemp('.log', PREFIX, self._folder.parent)
        os.close(handle)
        shutil.copyfile(self._log, name)
        self.leave(1, f"{why}; Nova's log is {name}")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGPIPE:
            self.leave(128 + number)
        if self.out.isatty():
            self.out.write('\x1b[?25h')  # the cursor, if it was hidden
            self.out.flush()
        self.leave(128 + number, f'ended by {signal.Signals(number).name}')
