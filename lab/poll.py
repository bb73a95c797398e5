# SPDX-License-Identifier: Apache-2.0

"""Print what a host's nova-throttle knows of each migration, again and again.

It runs where nova-throttle is installed: poll.py NOVA_CONF HOST. Each line is
JSON: the instant, and of each migration that is not over how far it is.
"""

import json
import sys
import threading
import time

from nova_throttle.cmd import bus
from nova_throttle import exception

INTERVAL = 0.25
TIMEOUT = 10


def main() -> None:
    """Poll until this process is ended."""
    config, host = sys.argv[1:]
    bus.connect([config])
    pause = threading.Event()
    while not pause.wait(INTERVAL):
        try:
            snapshot = bus.ask(
                host, TIMEOUT, lambda api, ctxt: api.get_snapshot(ctxt)
            )
        except exception.ThrottleError:
            # It is being restarted, or was killed.
            continue
        moving = {t.migration_uuid: t.to_core() for t in snapshot.transfers}
        found = {
            view.migration_uuid: {
                'state': view.state,
                **_progress(moving.get(view.migration_uuid)),
            }
            for view in snapshot.migrations
        }
        line = {'at': time.monotonic(), 'host': host, 'migrations': found}
        print(json.dumps(line), flush=True)


def _progress(progress: object) -> dict[str, object]:
    names = ('slow', 'done', 'remaining', 'rate', 'iteration', 'eta')
    return {n: getattr(progress, n) for n in names} if progress else {}


if __name__ == '__main__':
    main()
