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

"""Run a command of ``nova-throttle`` in this process."""

import io
import typing

import fixtures

from nova_throttle.cmd import shell


class Result(typing.NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def run(*words):
    """Run a command as its words on the command line say."""
    out, err = io.StringIO(), io.StringIO()
    # Not the shell's own streams: argparse knows only the process's.
    with (
        fixtures.MonkeyPatch('sys.stdout', out),
        fixtures.MonkeyPatch('sys.stderr', err),
    ):
        try:
            status = shell.Shell().run([str(word) for word in words])
        except SystemExit as stopped:
            status = stopped.code or 0
    return Result(status, out.getvalue(), err.getvalue())
