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

"""A row of the journal, sealed.

A row is used as it was written or not at all: its seal covers its place, its
revision and its content, whatever the database around it has become.
"""

import dataclasses
import hashlib
import re

# Whoever changes the meaning of a row changes the mark: then an older release
# does not take for its own what it finds in a newer journal.
_SEAL = re.compile(rb'nt1:([0-9a-f]{16}):([0-9a-f]{16}):[0-9a-f]{64}')


@dataclasses.dataclass(frozen=True)
class Row:
    """One entry at its place in the order.

    :param position: its place; never changes.
    :param revision: of two rows of one migration the greater one is newer.
    :param migration_uuid: whose entry it is.
    :param primitive: the entry, as JSON.
    """

    position: int
    revision: int
    migration_uuid: str
    primitive: str

    @property
    def seal(self) -> str:
        """What proves that the row is as it was written."""
        uuid, primitive = self.migration_uuid, self.primitive
        place = f'{self.position:016x}:{self.revision:016x}'
        digest = hashlib.sha256(f'{place}:{uuid}:{primitive}'.encode())
        return f'nt1:{place}:{digest.hexdigest()}'


def unsealed(seal: bytes, uuid: bytes, primitive: bytes) -> Row | None:
    """Return the row that was written, or None if it is another one now.

    :param seal: the seal as it was found; the others likewise.
    """
    found = _SEAL.fullmatch(seal)
    if found is None:
        return None
    try:
        row = Row(
            int(found[1], 16),
            int(found[2], 16),
            uuid.decode(),
            primitive.decode(),
        )
    except UnicodeDecodeError:
        return None
    return row if row.seal.encode() == seal else None
