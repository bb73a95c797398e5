# SPDX-License-Identifier: Apache-2.0

"""How long the link stays free while prepared ones wait for it.

From the instant at which the driver says that the last byte was sent to the
instant at which the next one may be at full speed: on the same source, and on
another source that waits for the same destination.
"""

from collections.abc import Callable
import contextlib
import time
from typing import Any
from unittest import mock

from nova_throttle import fixture
from nova_throttle.tests.bench import cloud as cloud_lib
from nova_throttle.tests.bench import figures

# Seconds that a guest moves: see handover.
WORK = 0.1


class OneSource(cloud_lib.Cloud):
    """A source whose link one has, and for which the others are prepared."""

    sources: tuple[str, ...] = ('src',)
    gate = 'max_outgoing_transfers'

    def _start_hosts(self) -> None:
        self.flags(max_concurrent_live_migrations=0)
        self.useFixture(
            fixture.ThrottleFixture(
                max_incoming_live_migrations=0, **{self.gate: 1}
            )
        )
        for host in ('dest', *self.sources):
            self.start_compute(hostname=host)

    def hand_on(self, count: int) -> list[float]:
        """Return the seconds of each hand-over.

        :param count: how many transfer.
        """
        stage = cloud_lib.Stage(WORK)
        turns = [self.sources[n % len(self.sources)] for n in range(count)]
        managers = [self.computes[host].manager for host in self.sources]
        with contextlib.ExitStack() as patches:
            for manager in managers:
                work = _transfers(manager._parts, stage)
                patches.enter_context(
                    mock.patch.object(manager, '_do_live_migration', work)
                )
            for host in turns:
                self.ask(self.request(host), host)
            self._wait_for(lambda: self._waiting(managers) == count - 1)
            stage.open()
            self._wait_for(lambda: len(stage.ended) == count)
            self._wait_for(
                lambda: not any(m._in_progress_tasks for m in managers)
            )
        gaps = zip(stage.ended, stage.begun[1:], strict=False)
        return [begun - ended for ended, begun in gaps]

    def _waiting(self, managers: list[Any]) -> int:
        """Return how many are prepared and wait for the link."""
        return sum(len(m._parts.transfer._turns) for m in managers)


class TwoSources(OneSource):
    """Two sources, which send to one destination in turn."""

    sources = ('src', 'src2')
    gate = 'max_incoming_transfers'


def measure(count: int) -> figures.Figures:
    """Return the time from link free to next full speed in milliseconds.

    :param count: how many transfer, one after the other.
    """
    found: figures.Figures = {}
    for name, kind in (('transfer', OneSource), ('between', TwoSources)):
        gaps = cloud_lib.run(True, lambda cloud: cloud.hand_on(count), kind)
        found |= figures.percentiles(name, [gap * 1e3 for gap in gaps])
    return found


def _transfers(parts: Any, stage: cloud_lib.Stage) -> Callable[..., None]:
    """Stand in for Nova's part of a migration, from prepared to sent."""

    def work(
        context: Any,
        dest: str,
        instance: Any,
        block: bool,
        record: Any,
        *_: Any,
    ) -> None:
        ours = parts.migrations.of_migration(record.uuid)
        ours.prepared(ours.migrate_data)
        parts.transfer.wait(ours)
        stage.begun.append(time.perf_counter())
        stage.curtain.wait(cloud_lib.PATIENCE)
        time.sleep(WORK)
        stage.ended.append(time.perf_counter())
        parts.transfer.end(instance.uuid)

    return work
