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


"""The program ``nova-throttle-demo``: watch a drain in an embedded Nova.

However it ends, nothing of it is left, and a signal ends it at any moment.
"""

import os
import signal
import sys

from nova_throttle.demo import signals


def main() -> int:
    """Run the demo.

    :returns: the exit status: 0, 1 if it failed, 2 if it was misused, and
        128 more than the signal that ended it.
    """
    try:
        signals.catch()
        # Local: whoever changes his mind need not wait for imports.
        from nova_throttle.demo import command

        return command.run()
    except signals.Interrupted as interrupted:
        sys.stderr.write(f'nova-throttle-demo: {interrupted}\n')
        return 128 + interrupted.number
    except BrokenPipeError:
        # Whoever read us has gone; Python must not try once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


if __name__ == '__main__':
    sys.exit(main())
