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

"""Where a journal lives, and who may use it.

Only its owner can read it; only one process has it; and what is in its place
is never overwritten: it is set aside under another name.
"""

import contextlib
import datetime
import enum
import os
import stat
import struct
import urllib.parse

from oslo_concurrency import lockutils

from nova_throttle.journal import store

SIDECARS = ('-journal', '-wal', '-shm')

_HEADER_SIZE = 100


class Verdict(enum.Enum):
    """What is at the path of a journal."""

    OURS = 'a journal'
    MISSING = 'missing'
    DAMAGED = 'damaged'
    NEWER = 'of a newer version'


class Files:
    """The names of one host's journal.

    :param directory: where; is created, and closed to others.
    :param host: whose.
    """

    def __init__(self, directory: str, host: str) -> None:
        self.directory = directory
        name = os.path.join(directory, urllib.parse.quote(host, safe=''))
        self.path = f'{name}.sqlite'
        self.lock = f'{name}.lock'
        self.draft = f'{self.path}.new'

    def prepare(self) -> None:
        """Make the directory, and close all that is there to others.

        :raises OSError: if that is not possible.
        """
        if not os.path.isdir(self.directory):
            os.makedirs(self.directory, 0o700)
            _sync(os.path.dirname(os.path.abspath(self.directory)))
        _close_to_others(self.directory, 0o700)
        if os.path.lexists(self.lock) and not _is_file(self.lock):
            os.rename(self.lock, _free(self.lock, Verdict.DAMAGED))
        # To open and close it again would give a lock of ours away (POSIX).
        if not os.path.lexists(self.lock):
            _create(self.lock)
        for name in (self.lock, self.path, *self._sidecars()):
            if _is_file(name):
                _close_to_others(name, 0o600)

    def judge(self) -> Verdict:
        """Say what is at the path, without SQLite, which may write.

        :raises OSError: if that cannot be told.
        """
        names = (self.path, *self._sidecars())
        if any(os.path.lexists(name) > _is_file(name) for name in names):
            return Verdict.DAMAGED
        if not os.path.lexists(self.path):
            return Verdict.MISSING
        try:
            with open(self.path, 'rb') as journal:
                return _judge_header(journal.read(_HEADER_SIZE))
        except PermissionError:
            return Verdict.DAMAGED

    def start_draft(self) -> None:
        """Make an empty file beside the journal; an older one is lost.

        :raises OSError: if that is not possible.
        """
        self.drop_draft()
        _create(self.draft)

    def drop_draft(self) -> None:
        """Remove the draft, which nobody has been promised."""
        for sidecar in ('', *SIDECARS):
            if os.path.lexists(self.draft + sidecar):
                os.unlink(self.draft + sidecar)

    def replace(self, verdict: Verdict) -> str | None:
        """Put the draft in the journal's place.

        A crash in between leaves what was there at its path, or the draft.

        :param verdict: what is there; becomes a part of its new name.
        :returns: the name that it has now, None if nothing was there.
        :raises OSError: if that is not possible.
        """
        aside = _free(self.path, verdict)
        moved = False
        # What is another file's sidecar now must not become the draft's.
        for sidecar in SIDECARS:
            if os.path.lexists(self.path + sidecar):
                os.rename(self.path + sidecar, aside + sidecar)
                moved = True
        if os.path.lexists(self.path):
            _give_second_name(self.path, aside)
            moved = True
        os.rename(self.draft, self.path)
        self.drop_draft()
        _sync(self.directory)
        return aside if moved else None

    def _sidecars(self) -> list[str]:
        return [self.path + sidecar for sidecar in SIDECARS]


class Lock:
    """The right of one process to the files.

    :param path: of the lock file, which is there when it is taken.
    """

    def __init__(self, path: str) -> None:
        self._lock = lockutils.external_lock(
            os.path.basename(path), lock_path=os.path.dirname(path)
        )

    def take(self, timeout: float) -> bool:
        """Take the lock; to have it already is fine.

        :param timeout: seconds to wait for another process.
        :returns: whether we have it.
        :raises OSError: if it cannot be told.
        """
        if self._lock.acquired:
            return True
        try:
            return bool(
                self._lock.acquire(blocking=timeout > 0, timeout=timeout)
            )
        except RuntimeError as error:  # fasteners', for instance of ENOLCK
            raise OSError(str(error)) from error

    def release(self) -> None:
        """Give the lock back; not to have it is fine."""
        if self._lock.acquired:
            self._lock.release()


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _create(path: str) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))


def _give_second_name(path: str, aside: str) -> None:
    if _is_file(path):
        # The draft's rename takes the first one away: never is none there.
        with contextlib.suppress(OSError):
            os.link(path, aside)
            return
    # No file, or a file system without links.
    os.rename(path, aside)


def _sync(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _close_to_others(path: str, mode: int) -> None:
    found = stat.S_IMODE(os.stat(path).st_mode)
    if found == mode:
        return
    try:
        os.chmod(path, mode)
    except PermissionError:
        # Not our file. In a place where others can write, nothing is safe.
        if found & 0o022:
            raise


def _judge_header(header: bytes) -> Verdict:
    # https://www.sqlite.org/fileformat.html#the_database_header
    if len(header) < _HEADER_SIZE or not header.startswith(b'SQLite format 3'):
        return Verdict.DAMAGED
    formats, version, application_id = struct.unpack(
        '>18x2s40xI4xI', header[:72]
    )
    if application_id != store.APPLICATION_ID or not version:
        return Verdict.DAMAGED
    if version > store.SCHEMA_VERSION:
        return Verdict.NEWER
    # A file of an unheard format SQLite reads and never writes.
    return Verdict.OURS if formats == b'\1\1' else Verdict.DAMAGED


def _free(path: str, verdict: Verdict) -> str:
    """Return a name, made of the path, that nobody has."""
    kind = 'newer' if verdict is Verdict.NEWER else 'damaged'
    now = datetime.datetime.now(datetime.timezone.utc)
    name = wanted = f'{path}.{kind}-{now:%Y%m%dT%H%M%SZ}'
    number = 0
    while any(os.path.lexists(name + end) for end in ('', *SIDECARS)):
        number += 1
        name = f'{wanted}-{number}'
    return name
