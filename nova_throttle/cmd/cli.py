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

"""The program ``nova-throttle``.

Importing this module decides how this process runs concurrent work, as it
does for any program of Nova: nobody but the console script imports it.
"""

import sys

from nova_throttle.cmd import native  # noqa: F401 first of all

from nova import rpc

from nova_throttle.cmd import shell


def main() -> int:
    """Run the command that the command line names.

    :returns: the exit status: 0, 1 if it failed, 2 if it was misused.
    """
    status: int = shell.Shell().run(sys.argv[1:])
    # Say goodbye to the bus, but only to one that has answered: the library
    # waits for its connection to be made before it closes it.
    if status == 0 and rpc.TRANSPORT is not None:
        rpc.cleanup()
    return status


if __name__ == '__main__':
    sys.exit(main())
