# SPDX-License-Identifier: Apache-2.0

"""Where a journal lives, and who may use it.

Only its owner can read it; only one process has it; and what is in its place
is never overwritten: it is set aside under another name.
"""

from collections.abc import Callable
import contextlib
import datetime
import enum
import errno
import os
import stat
import struct
import urllib.parse

from oslo_concurrency import lockutils

from nova_throttle.journal import store

_SIDECARS = ('-journal', '-wal', '-shm')

_HEADER_SIZE = 100


# Of each file: its identity, times and size; None if there is none.
Stamp = tuple[tuple[int, ...] | None, ...]


class State(enum.Enum):
    """What is at the path of a journal."""

    OURS = 'a journal'
    MISSING = 'missing'
    DAMAGED = 'damaged'
    OLDER = 'of an older version'
    NEWER = 'of a newer version'


class Files:
    """The files of one host's journal, which need not be there yet.

    :param directory: where they are.
    :param host: whose they are.
    """

    def __init__(self, directory: str, host: str) -> None:
        self.directory = directory
        name = os.path.join(directory, urllib.parse.quote(host, safe=''))
        self.path = f'{name}.sqlite'
        self._all = [self.path + end for end in ('', *_SIDECARS)]
        self._lock_path = f'{name}.lock'
        self._lock = lockutils.external_lock(
            os.path.basename(self._lock_path), lock_path=directory
        )

    def own(self, timeout: float = 0) -> Exception | None:
        """Close them to others, and lock them, unless that was done.

        :param timeout: seconds to wait for another process.
        :returns: why they must not be written, None if they may be.
        :raises BlockingIOError: if another process has them.
        """
        try:
            self._close_to_others()
            owned = self._lock.acquired or self._lock.acquire(
                blocking=timeout > 0, timeout=timeout
            )
        except (OSError, RuntimeError) as error:  # of fasteners: no locks
            return error
        if not owned:
            raise BlockingIOError(
                errno.EAGAIN, 'in use by another nova-compute'
            )
        return None

    def disown(self) -> None:
        """Give the lock back; not to have it is fine."""
        if self._lock.acquired:
            self._lock.release()

    def state(self) -> State:
        """Say what is at the path, without SQLite, which may write.

        :raises OSError: if that cannot be told.
        """
        there = [name for name in self._all if os.path.lexists(name)]
        if not there:
            return State.MISSING
        if not all(map(_is_file, there)):
            return State.DAMAGED
        try:
            with open(self.path, 'rb') as journal:
                return _state_by_header(journal.read(_HEADER_SIZE))
        except (FileNotFoundError, PermissionError):
            return State.DAMAGED

    def stamp(self) -> Stamp:
        """Return what changes whenever somebody writes to the files."""
        return tuple(map(_stamp, self._all))

    def replace(
        self, state: State, write: Callable[[str], None]
    ) -> str | None:
        """Put a new journal in the place of what is there.

        Nothing is moved before the new one is complete.

        :param state: of what is there; becomes a part of its new name.
        :param write: makes a journal of the empty file with this name.
        :returns: the new name, None if nothing was there.
        :raises Exception: any, if that is not possible.
        """
        draft = f'{self.path}.new'
        _remove(draft)
        try:
            _create(draft)
            write(draft)
            aside = self._set_aside(state)
            os.rename(draft, self.path)
            _sync(self.directory)
        finally:
            # It would take what is left of a full disk.
            _remove(draft)
        return aside

    def _close_to_others(self) -> None:
        if not os.path.isdir(self.directory):
            os.makedirs(self.directory, 0o700)
            _sync(os.path.dirname(os.path.abspath(self.directory)))
        _set_mode(self.directory, 0o700)
        lock = self._lock_path
        if os.path.lexists(lock) and not _is_file(lock):
            os.rename(lock, _aside(lock, State.DAMAGED))
        # To open and close it again would give a lock of ours away (POSIX).
        if not os.path.lexists(lock):
            _create(lock)
        for name in (lock, *self._all):
            if _is_file(name):
                _set_mode(name, 0o600)

    def _set_aside(self, state: State) -> str | None:
        if not any(map(os.path.lexists, self._all)):
            return None
        aside = _aside(self.path, state)
        # The sidecars too, or they would become the new journal's.
        for end in (*_SIDECARS, ''):
            if os.path.lexists(self.path + end):
                os.rename(self.path + end, aside + end)
        return aside


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def _create(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _remove(path: str) -> None:
    for end in ('', *_SIDECARS):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + end)


def _sync(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _set_mode(path: str, mode: int) -> None:
    found = stat.S_IMODE(os.stat(path).st_mode)
    if found == mode:
        return
    try:
        os.chmod(path, mode)
    except PermissionError:
        # Not our file. In a place where others can write, nothing is safe.
        if found & 0o022:
            raise


def _state_by_header(header: bytes) -> State:
    # https://www.sqlite.org/fileformat.html#the_database_header
    if len(header) < _HEADER_SIZE or not header.startswith(b'SQLite format 3'):
        return State.DAMAGED
    formats, version, application_id = struct.unpack(
        '>18x2s40xI4xI', header[:72]
    )
    if application_id != store.APPLICATION_ID or not version:
        return State.DAMAGED
    if version != store.SCHEMA_VERSION:
        is_older = version < store.SCHEMA_VERSION
        return State.OLDER if is_older else State.NEWER
    # A file of an unheard format SQLite reads and never writes.
    return State.OURS if formats == b'\1\1' else State.DAMAGED


def _aside(path: str, state: State) -> str:
    """Return a name for what is at a path, which nobody has."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f'{path}.{state.name.lower()}-{now:%Y%m%dT%H%M%S.%fZ}'
