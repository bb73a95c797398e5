# SPDX-License-Identifier: Apache-2.0

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


def run(*words, err=None):
    """Run a command as its words on the command line say.

    :param err: where stderr goes, for who reads it meanwhile.
    """
    out, err = io.StringIO(), err or io.StringIO()
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
