# SPDX-License-Identifier: Apache-2.0

"""The program ``nova-throttle-demo``: watch a drain in an embedded Nova.

Success is that no host ever sent or received more than its limit, and every
server is where it was to go.
"""

import os
import sys
import traceback
from typing import NoReturn
from typing import TextIO

from nova_throttle.demo import lines as demo_lines
from nova_throttle.demo import options
from nova_throttle.demo import report
from nova_throttle.demo import workspace
from nova_throttle.screen import lines


def main() -> NoReturn:
    """Run the demo and leave with an exit status.

    It is 0, 1 if the demo failed, 2 if it was misused, and 128 more than the
    signal that ended it.
    """
    wanted = options.parse()
    place = workspace.Workspace()
    try:
        end = _drain(wanted, place.out)
    except Exception as error:
        traceback.print_exc()
        place.fail(str(error))
    place.out.write(f'\n{end}')
    place.out.flush()
    if end.problem:
        place.fail(end.problem)
    place.leave()


def _drain(wanted: options.Options, out: TextIO) -> report.Report:
    # Nova chooses its threading mode when it is first imported.
    native = wanted.mode == 'native'
    os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = str(int(native))
    # Nova looks for configuration files in there.
    sys.argv = sys.argv[:1]
    from nova import monkey_patch

    # Before 32 the import itself does it.
    if hasattr(monkey_patch, 'patch'):
        monkey_patch.patch()
    with _screen(out) as screen:
        screen.say('Importing Nova')
        # Local: nothing of Nova may be imported before.
        from nova_throttle.demo import drain

        return drain.run(wanted, screen)


def _screen(out: TextIO) -> lines.Lines[report.Picture]:
    if not lines.is_terminal(out):
        return demo_lines.Lines(out)
    # Local: half a second that a pipe need not wait for.
    from nova_throttle.demo import table
    from nova_throttle.screen import table as table_lib

    return table_lib.Table(out, table.draw)


if __name__ == '__main__':
    main()
