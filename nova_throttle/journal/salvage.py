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

"""What can still be read of a damaged journal.

A row is salvaged only as it was written, see row.py; of several of one
migration the newest; and the damaged file itself is never changed.
"""

from collections.abc import Iterator
import contextlib
import errno
import itertools
import os
import sqlite3
import stat
import urllib.parse

from nova_throttle.journal import row as row_lib

# What is larger is no journal; see also store.py for the size of one.
_MOST_BYTES = 1 << 28
_MOST_ROWS = 100_000

# Of these, a file that can't be read has nothing for us, for good.
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO)


def salvage(path: str) -> dict[int, row_lib.Row]:
    """Return position -> row of all that can be read of a journal.

    :param path: the damaged file; need not be a file or be there.
    :raises OSError: if it could perhaps be read at another time.
    """
    newest: dict[str, row_lib.Row] = {}
    for row in itertools.chain(_selected(path), _all_carved(path)):
        known = newest.get(row.migration_uuid, row)
        if row.revision >= known.revision:
            newest[row.migration_uuid] = row
    return {row.position: row for row in newest.values()}


def _all_carved(path: str) -> Iterator[row_lib.Row]:
    # SQLite's journal has the pages as they were before a transaction.
    for name in (path, f'{path}-journal', f'{path}-wal'):
        yield from row_lib.carved(_read(name))


def _read(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return b''
        with open(path, 'rb') as file:
            return file.read(_MOST_BYTES)
    except FileNotFoundError:
        return b''
    except OSError as error:
        if error.errno in _UNREADABLE:
            return b''
        raise


def _selected(path: str) -> Iterator[row_lib.Row]:
    """Yield what SQLite can read: rows in pieces on many pages, too."""
    for order in ('ASC', 'DESC'):  # from both ends up to the damage
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            yield from _select(path, order)


def _select(path: str, order: str) -> Iterator[row_lib.Row]:
    if not os.path.isfile(path) or os.path.islink(path):
        return
    # immutable: neither locks nor a look at SQLite's journal, no change.
    name = urllib.parse.quote(os.path.abspath(path))
    db = sqlite3.connect(f'file:{name}?mode=ro&immutable=1', uri=True)
    with contextlib.closing(db):
        db.text_factory = bytes
        query = 'SELECT seal, migration_uuid, primitive FROM entries'
        found = db.execute(f'{query} ORDER BY position {order}')
        for columns in itertools.islice(found, _MOST_ROWS):
            if all(isinstance(column, bytes) for column in columns):
                row = row_lib.unsealed(*columns)
                if row is not None:
                    yield row
