# SPDX-License-Identifier: Apache-2.0

"""Look at a journal from outside, as whoever may have it open goes on.

Nothing is written, made or locked, and SQLite is not asked: it might do so.
For another process than the one that has the journal: a file that is closed
here takes this process's own locks away (POSIX).
"""

import dataclasses
import os

from nova_throttle.journal import files as files_lib


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is at the place of a journal.

    :param path: of its file.
    :param owner: the user id that the directory belongs to; if it is yet to
        be made, the one where that would be.
    :param usable: whether this process may read and write it, or make it.
    :param state: what is there, as far as that can be told.
    """

    path: str
    owner: int
    usable: bool
    state: files_lib.State

    @property
    def is_missing(self) -> bool:
        """Whether it is yet to be made."""
        return self.state is files_lib.State.MISSING


def inspect(directory: str, host: str) -> Finding:
    """Look at the journal of a host.

    :param directory: where it is.
    :param host: whose it is.
    """
    files = files_lib.Files(directory, host)
    # nova-compute makes what is missing, with the parents.
    nearest = directory
    while not os.path.isdir(nearest):
        nearest = os.path.dirname(os.path.abspath(nearest))
    usable = os.access(nearest, os.R_OK | os.W_OK | os.X_OK)
    if os.path.lexists(files.path):
        usable = usable and os.access(files.path, os.R_OK | os.W_OK)
    try:
        state = files.state()
    except OSError:
        state, usable = files_lib.State.DAMAGED, False
    return Finding(
        path=files.path,
        owner=os.stat(nearest).st_uid,
        usable=usable,
        state=state,
    )
