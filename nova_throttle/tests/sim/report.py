# SPDX-License-Identifier: Apache-2.0

"""What a run has shown, in lines."""

import collections


def lines(world, seconds):
    """Return the figures of a run.

    :param seconds: of processor time that it took.
    """
    referee, sent = world.referee, world.bus.sent
    starts = sum(referee.starts.values())
    yield f'{world.loop.steps} steps, {world.loop.now:.0f} s simulated'
    yield f'{seconds:.1f} s of processor time'
    yield f'served: {_counts(_outcomes(world))}'
    yield f'started on: {_counts(referee.starts)}'
    yield f'messages: {sum(sent.values())} ({_counts(sent)})'
    yield f'messages per migration: {sum(sent.values()) / max(starts, 1):.2f}'
    yield f'offers per migration: {referee.offers / max(starts, 1):.2f}'
    latency = world.scenario.latency
    yield 'hand-over in latencies: ' + _quantiles(referee.delays, latency)
    yield 'the same, slots kept: ' + _quantiles(referee.kept, latency)
    yield f'most overtaken at a source: {most_overtaken(world)} times'
    faults = world.faults + world.bus.faults
    yield f'faults: {_counts(faults)}'
    yield f'checks: {sum(referee.checks.values())} ({_counts(referee.checks)})'


def most_overtaken(world):
    """Return how often a later request of its source started before one."""
    return max((m.overtaken for m in world.migrations.values()), default=0)


def trace(world):
    """Return the last steps of a run that went wrong."""
    for time, words in world.loop.tail:
        yield f'{time:10.3f}  {" ".join(map(str, words))}'


def _outcomes(world):
    return collections.Counter(m.outcome for m in world.migrations.values())


def _counts(counter):
    pairs = sorted(counter.items())
    return ', '.join(f'{name} {count}' for name, count in pairs) or 'none'


def _quantiles(delays, latency):
    if not delays:
        return 'none'
    ordered = sorted(delays)
    shown = (
        f'{name} {ordered[int(share * (len(ordered) - 1))] / latency:.1f}'
        for name, share in (('p50', 0.5), ('p99', 0.99), ('max', 1))
    )
    return ', '.join(shown) + f' ({len(ordered)} of them)'
