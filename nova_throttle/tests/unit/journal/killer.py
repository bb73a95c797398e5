# SPDX-License-Identifier: Apache-2.0

"""Runs a script on a journal in a process, and kills that at one instant.

An instant is the begin or the end of one of its system calls, which it is
stopped at by ptrace(2), so that none between two writes is missed; or the
middle of a write. test_kill.py talks to it: JSON, a line for a line.
"""

import ctypes
import json
import os
import signal
import sys

from nova_throttle import journal as journal_lib
from nova_throttle.objects import entry as entry_obj

_TRACEME, _POKEUSER, _SYSCALL = 0, 6, 24
_SETOPTIONS, _GET_SYSCALL_INFO = 0x4200, 0x420E
_OPTIONS = 0x100001  # TRACESYSGOOD, EXITKILL
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_ENTRY = 1

_X86_64, _RDX = 0xC000003E, 96

_libc = ctypes.CDLL(None, use_errno=True)


class SyscallInfo(ctypes.Structure):
    """See ptrace(2)."""

    _fields_ = [
        ('op', ctypes.c_uint8),
        ('arch', ctypes.c_uint32),
        ('ip', ctypes.c_uint64),
        ('sp', ctypes.c_uint64),
        ('number', ctypes.c_uint64),
        ('args', ctypes.c_uint64 * 6),
    ]


def ptrace(request, pid, address=0, data=0):
    arguments = (pid, ctypes.c_void_p(address), ctypes.c_void_p(data))
    if _libc.ptrace(request, *arguments) < 0:
        raise OSError(ctypes.get_errno(), 'ptrace')


def work(directory, script, say):
    """Do what a script says, and say what is about to be and was done."""
    ptrace(_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    journal = journal_lib.Journal(directory, 'host')
    for action, *arguments in script:
        os.write(say, b'<')
        if action == 'put':
            journal.put(entry_obj.JournalEntry(**arguments[0]))
        else:
            getattr(journal, action)(*arguments)
        os.write(say, b'>')


def start(directory, script):
    """Start a process that works; return its id and what it says."""
    hear, say = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work(directory, script, say)
        finally:
            os._exit(0)
    os.close(say)
    os.waitpid(pid, 0)
    ptrace(_SETOPTIONS, pid, 0, _OPTIONS)
    return pid, hear


def describe(pid):
    info = SyscallInfo()
    ptrace(_GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
    if info.op != _ENTRY or info.arch != _X86_64:
        return None
    return [info.number, *info.args[:3]]


def run(directory, script, instant=None, torn=False):
    """Let a process work, and kill it.

    :param instant: at which stop; None for never.
    :param torn: whether half of the write that begins there is done.
    :returns: what it said, and at which system calls it was stopped.
    """
    pid, hear = start(directory, script)
    stops = []
    while stopped(pid):
        if len(stops) == instant:
            if torn:
                tear(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
        stops.append(describe(pid) if instant is None else None)
    with open(hear) as said:
        return said.read(), stops


def stopped(pid):
    """Let a process go on to its next stop; return whether there is one."""
    signum = 0
    while True:
        ptrace(_SYSCALL, pid, 0, signum)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return False
        signum = os.WSTOPSIG(status)
        if signum == _SYSCALL_STOP:
            return True


def tear(pid):
    """Do one half of a write."""
    _, _, _, size = describe(pid)
    ptrace(_POKEUSER, pid, _RDX, size // 2)
    ptrace(_SYSCALL, pid)
    os.waitpid(pid, 0)


def main():
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
