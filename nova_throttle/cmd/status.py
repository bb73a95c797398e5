# SPDX-License-Identifier: Apache-2.0

"""The program ``nova-throttle-status``: may this host be upgraded?

Importing this module decides how this process runs concurrent work: nobody
but the console script imports it.
"""

import sys

from nova_throttle.cmd import native  # noqa: F401 first of all

import nova.conf
from oslo_upgradecheck import upgradecheck

from nova_throttle.cmd import bus
from nova_throttle.cmd import checks
from nova_throttle import exception

# oslo.upgradecheck's for what it did not expect.
UNEXPECTED = 255


def main() -> int:
    """Run the checks and print a table.

    :returns: the exit status: 0 if all is well, 1 for a warning, 2 for a
        failure, 255 if the checks can't be made.
    """
    conf = nova.conf.CONF
    upgradecheck.register_cli_options(conf, checks.Checks())
    try:
        bus.parse(['nova-throttle-status', *sys.argv[1:]])
    except exception.ThrottleError as error:
        sys.stderr.write(f'nova-throttle-status: {error}\n')
        return UNEXPECTED
    bus.use_conductor()
    status: int = upgradecheck.run(conf)
    return status


if __name__ == '__main__':
    sys.exit(main())
