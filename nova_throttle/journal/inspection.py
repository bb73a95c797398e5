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
    :param owner: the user id that the directory belongs to, None if it is
        yet to be made.
    :param usable: whether this process may read and write it, or make it.
    :param verdict: what is there, as far as that can be told.
    """

    path: str
    owner: int | None
    usable: bool
    verdict: files_lib.Verdict


def inspect(directory: str, host: str) -> Finding:
    """Look at the journal of a host.

    :param directory: where it is.
    :param host: whose it is.
    """
    files = files_lib.Files(directory, host)
    is_made = os.path.isdir(directory)
    usable = os.access(
        directory if is_made else _nearest(directory),
        os.R_OK | os.W_OK | os.X_OK,
    )
    if os.path.lexists(files.path):
        usable = usable and os.access(files.path, os.R_OK | os.W_OK)
    try:
        verdict = files.judge()
    except OSError:
        verdict, usable = files_lib.Verdict.DAMAGED, False
    return Finding(
        path=files.path,
        owner=os.stat(directory).st_uid if is_made else None,
        usable=usable,
        verdict=verdict,
    )


def _nearest(directory: str) -> str:
    """Return the first directory above that is there."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(os.path.abspath(directory))
    return directory
