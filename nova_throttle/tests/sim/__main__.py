# SPDX-License-Identifier: Apache-2.0

"""Run a scenario and print what it has shown.

    python -m nova_throttle.tests.sim --hosts 300 --requests 5000 --seed 7

It exits with 1, the seed and the end of the trace if a rule is broken. With
``link`` in front of its options it simulates who has the network link instead.
"""

import argparse
import dataclasses
import sys
import time

from nova_throttle.tests.sim.link import __main__ as link
from nova_throttle.tests.sim import loop
from nova_throttle.tests.sim import report
from nova_throttle.tests.sim import scenario
from nova_throttle.tests.sim import world


def parse(arguments):
    """Return the scenario of a command line; each number is an option."""
    parser = argparse.ArgumentParser(
        prog='nova_throttle.tests.sim',
        description=__doc__.splitlines()[0],
        epilog=scenario.Scenario.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for field in dataclasses.fields(scenario.Scenario):
        parser.add_argument(
            '--' + field.name.replace('_', '-'),
            type=field.type,
            default=field.default,
        )
    return scenario.Scenario(**vars(parser.parse_args(arguments)))


def main(arguments=None):
    """Run; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ['link']:
        return link.main(arguments[1:])
    fleet = world.World(parse(arguments))
    since = time.process_time()
    try:
        fleet.run()
    except loop.Violation as error:
        print('\n'.join(report.trace(fleet)))
        print(f'seed {fleet.scenario.seed}: {error}')
        return 1
    print('\n'.join(report.lines(fleet, time.process_time() - since)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
