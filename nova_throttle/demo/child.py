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

"""The process that the embedded Nova runs in, and its end of the pipe.

Whatever happens to the demo, this process and all that it wrote is gone
afterwards. It can't disturb the screen: its output goes to the log.
"""

import contextlib
import multiprocessing
from multiprocessing import connection
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import traceback
from types import TracebackType
from typing import Any

from nova_throttle.demo import report
from nova_throttle.demo import signals

PREFIX = 'nova-throttle-demo-'
# Seconds that the process may take to end after its last word.
PATIENCE = 10.0


class Child:
    """An embedded Nova in a process of its own, while the context lasts.

    :param options: what it is asked to do.
    :param verbose: let its output through to stderr.
    """

    def __init__(self, options: report.Options, verbose: bool) -> None:
        self._options = options
        self._verbose = verbose

    def __enter__(self) -> 'Child':
        # A signal must not come between making a thing and knowing of it.
        with signals.held_back():
            self._scratch = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
            context = multiprocessing.get_context('fork')
            self._pipe, theirs = context.Pipe(duplex=False)
            self._process = context.Process(
                target=self._run, args=(theirs,), daemon=True
            )
            self._process.start()
            theirs.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with signals.held_back():
            self._kill()
            self._pipe.close()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def receive(self, timeout: float) -> report.Message | None:
        """Return the next message, or None if none comes in time.

        When there will be no more, that is a failure.
        """
        if not self._pipe.poll(timeout):
            return None
        try:
            message: report.Message = self._pipe.recv()
        except EOFError:
            return report.Failure('the embedded Nova ended without a word')
        return message

    def wait(self) -> None:
        """Let it end by itself, for a while."""
        self._process.join(PATIENCE)

    def keep_log(self) -> pathlib.Path | None:
        """Put the log where it stays; there is none when it was shown."""
        if self._verbose:
            return None
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix='.log')
        os.close(handle)
        shutil.copyfile(self._log, name)
        return pathlib.Path(name)

    @property
    def _log(self) -> pathlib.Path:
        return self._scratch / 'log'

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            # With all that Nova may have started. It leads its own group,
            # unless it is too young for that.
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    # In the process

    def _run(self, pipe: 'connection.Connection[Any, Any]') -> None:
        self._settle()
        self._pipe.close()
        try:
            _perform(self._options, pipe.send)
        except BrokenPipeError:
            os._exit(1)  # nobody is left to show it to

    def _settle(self) -> None:
        """Leave the terminal, and keep together what is written."""
        os.setsid()
        signals.restore()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if not self._verbose:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(self._log, flags, 0o600), 2)
        os.dup2(2, 1)
        os.environ['TMPDIR'] = tempfile.tempdir = str(self._scratch)
        # Nova chooses its threading mode when it is first imported.
        os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = (
            '0' if self._options.eventlet else '1'
        )
        # Nova looks for configuration files in there.
        sys.argv = sys.argv[:1]


def _perform(options: report.Options, tell: Any) -> None:
    tell(report.Step('Importing Nova'))
    try:
        from nova import monkey_patch

        # Before 32 the import itself does it.
        if hasattr(monkey_patch, 'patch'):
            monkey_patch.patch()
        # Local: nothing of Nova may be imported before.
        from nova_throttle.demo import play

        play.perform(options, tell)
    except ImportError as error:
        traceback.print_exc()
        tell(report.Failure(f'{error}: {report.INSTALL}'))
    except BrokenPipeError:
        raise
    except Exception as error:
        traceback.print_exc()
        tell(report.Failure(f'{type(error).__name__}: {error}'))
