# SPDX-License-Identifier: Apache-2.0

"""Print what a drain takes by our rule and by others, on a fluid model.

    python -m nova_throttle.tests.sim link --hosts 1000 --guests 4000

Nova, KubeVirt, DVP, vSphere and oVirt have the limits and the polling of
their sources; ours is the production code.
"""

import argparse
import math
import sys
import time

from nova_throttle.tests.sim.link import rules
from nova_throttle.tests.sim.link import tables


def parse(arguments):
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog='nova_throttle.tests.sim link',
        description=__doc__.splitlines()[0],
    )
    parser.add_argument('--hosts', type=int, default=1000)
    parser.add_argument('--guests', type=int, default=4000)
    parser.add_argument('--seed', type=int, default=1)
    return parser.parse_args(arguments)


def show(name, ended, drain):
    """Print one row."""
    whole = tables.last(ended, drain)
    seconds = 'never' if math.isinf(whole) else f'{whole:.1f}'
    done = f'{len(ended)} of {len(drain.guests)}'
    mean = sum(ended.values()) / len(ended) if ended else math.nan
    print(
        f'  {name:32} {seconds:>9} {whole / drain.bound():8.3f}'
        f' {mean:9.1f}  {done}',
        flush=True,
    )


def head(drain):
    """Print a title, and the columns."""
    print(f'\n{drain.title}; bound {drain.bound():.1f} s')
    print(f'  {"Rule":32} {"Seconds":>9} {"To bound":>8} {"Mean":>9}  Done')


def small(drain):
    """Print the table of the drain of one host."""
    head(drain)
    for limit in (1, 2, 4, 8):
        rule = rules.nova(limit)
        show(rule.name, drain.by(rule), drain)
    for rule in rules.OTHERS:
        show(rule.name, drain.by(rule), drain)
    for name, options in tables.OURS.items():
        show(name, drain.by_us(**options), drain)


def large(drain):
    """Print the table of many hosts."""
    head(drain)
    for rule in (rules.nova(1), rules.nova(4), *rules.OTHERS):
        show(rule.name, drain.by(rule), drain)
    for name in (tables.deck(1), tables.AUTO):
        since = time.process_time()
        show(name, drain.by_us(**tables.OURS[name]), drain)
        print(f'  ({time.process_time() - since:.0f} s to simulate)')


def main(arguments=None):
    """Print all tables."""
    options = parse(arguments)
    for dirty in (3, 4):
        small(tables.lab(dirty * tables.MIB))
    small(tables.ten())
    small(tables.ten(start=1.0))
    small(tables.twenty_five())
    small(tables.stuck())
    large(tables.fleet(20, 80, 800, options.seed))
    sources = max(1, options.hosts // 5)
    large(
        tables.fleet(
            sources, options.hosts - sources, options.guests, options.seed
        )
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
