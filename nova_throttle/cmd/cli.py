# SPDX-License-Identifier: Apache-2.0

"""The program ``nova-throttle``.

Importing this module decides how this process runs concurrent work, as it
does for any program of Nova: nobody but the console script imports it.
"""

import importlib.util
import sys

# A host can be drained from a machine without Nova.
if importlib.util.find_spec('nova'):
    from nova_throttle.cmd import native  # noqa: F401 first of all

from nova_throttle.cmd import shell


def main() -> int:
    """Run the command that the command line names.

    :returns: the exit status: 0, 1 if it failed, 2 if it was misused.
    """
    status: int = shell.Shell().run(sys.argv[1:])
    # Say goodbye to the bus, but only to one that has answered: the library
    # waits for its connection to be made before it closes it.
    rpc = sys.modules.get('nova.rpc')
    if status == 0 and rpc is not None and rpc.TRANSPORT is not None:
        rpc.cleanup()
    return status


if __name__ == '__main__':
    sys.exit(main())
