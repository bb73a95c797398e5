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

"""Let Nova's test fixtures find Nova's own configuration files.

They look for ``etc/nova/api-paste.ini`` beside the package, where a source
tree has it; a wheel puts it at the root of the virtualenv.
"""

import pathlib
import sys
import sysconfig


def main() -> None:
    link = pathlib.Path(sysconfig.get_path('purelib'), 'etc')
    if not link.exists():
        link.symlink_to(pathlib.Path(sys.prefix, 'etc'))


if __name__ == '__main__':
    main()
