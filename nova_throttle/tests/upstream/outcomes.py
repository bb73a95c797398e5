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

"""What became of each test, in a file that outlives its writer.

A line is a test and its outcome; the last one of a test counts.
"""

import json
import pathlib

NEVER_ENDED = 'failed\nIt never ended.'


def note(path: pathlib.Path, test: str, outcome: str) -> None:
    with path.open('a') as out:
        out.write(json.dumps([test, outcome]) + '\n')


def read(path: pathlib.Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text().splitlines())
