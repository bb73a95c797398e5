# SPDX-License-Identifier: Apache-2.0

"""Names of hosts.

Nothing here needs Nova.
"""

import reprlib
from typing import Any

from nova_throttle import exception


def check_host(host: Any) -> str:
    """Return a host by whose name a service can be reached.

    A message to no name is not lost: some other host may get it.

    :raises InvalidHost: if it is none.
    """
    if (
        not isinstance(host, str)
        or not host
        or any(each.isspace() or not each.isprintable() for each in host)
    ):
        raise exception.InvalidHost(host=reprlib.repr(host))
    return host
