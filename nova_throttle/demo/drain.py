# SPDX-License-Identifier: Apache-2.0

"""The drain: boot servers, ask for all live migrations at once, watch.

All it does to Nova goes through the compute API. What it tells is read from
the migration records, from libvirt's stand-in and from the throttle.
"""

import dataclasses
import sys
import time
import unittest

from nova_throttle.demo import cloud
from nova_throttle.demo import options as options_lib
from nova_throttle.demo import records
from nova_throttle.demo import report
from nova_throttle.screen import lines

# Seconds between two pictures when nothing changes.
TICK = 0.1
# Seconds in which something must change, beyond what libvirt takes.
PATIENCE = 90.0


class Drain(cloud.Cloud):
    """An embedded Nova whose sources are drained."""

    def runTest(self) -> None:
        """Drain them."""
        self.boot()
        self.close_sources()
        began = time.monotonic()
        self._ask()
        self._watch()
        self._report = self._sum_up(time.monotonic() - began)
        self._screen.say('Stopping Nova')

    def _ask(self) -> None:
        servers = self.records.servers
        self._screen.say(f'Asking for {len(servers)} live migrations at once')
        for server in servers:
            self.ask_to_migrate(server.uuid)
            self._show(self.records.wait())
        self._screen.say(f'Live-migrating {len(servers)} servers')

    def _watch(self) -> None:
        """Tell of the drain until all is over."""
        changed = time.monotonic()
        while not self._is_over():
            changes = self.records.wait(TICK)
            self._show(changes)
            if changes:
                changed = time.monotonic()
            elif time.monotonic() > changed + PATIENCE + self._options.seconds:
                self.fail('the drain does not go on')
        self._show(self.records.wait())

    def _is_over(self) -> bool:
        # A slot is given back a little after the record is final.
        return all(
            each.status in records.FINAL for each in self.records.servers
        ) and not any(map(report.in_use, self.snapshots().values()))

    def _show(self, changes: list[records.Server]) -> None:
        snapshots = self.snapshots()
        entries = {
            entry.instance_uuid: entry
            for snapshot in snapshots.values()
            for entry in snapshot.queue
        }

        moving = {
            uuid: progress.share
            for snapshot in snapshots.values()
            for uuid, progress in snapshot.progress.items()
        }

        def waiting(server: records.Server) -> records.Server:
            entry = entries.get(server.uuid)
            if entry is None or server.status not in ('queued', 'preparing'):
                return server
            return dataclasses.replace(
                server, position=entry.position, waits_for=entry.waits_for
            )

        def phase(server: records.Server) -> records.Server:
            left = self.in_libvirt.has_left(server.uuid)
            found = waiting(server).in_phase(left)
            share = None if left else moving.get(server.migration)
            return dataclasses.replace(found, share=share)

        self._screen.picture(
            report.Picture(
                {
                    host: report.in_use(each)
                    for host, each in snapshots.items()
                },
                tuple(map(phase, self.records.servers)),
                tuple(map(waiting, changes)),
                limits_transfers=self._options.transfers > 0,
            )
        )

    def _sum_up(self, elapsed: float) -> report.Report:
        servers = self.records.servers
        active = {
            (server['id'], server['OS-EXT-SRV-ATTR:host'])
            for server in self.api.get_servers()
            if server['status'] == 'ACTIVE'
            and server['OS-EXT-STS:task_state'] is None
        }
        return report.Report(
            options=self._options,
            completed=sum(
                server.status == 'completed'
                and (server.uuid, server.destination) in active
                for server in servers
            ),
            records=self.records.in_progress.peaks,
            libvirt=self.in_libvirt.peaks,
            waited=tuple(server.waited for server in servers),
            elapsed=elapsed,
        )


def run(
    options: options_lib.Options, screen: lines.Lines[report.Picture]
) -> report.Report:
    """Drain in an embedded Nova.

    :raises RuntimeError: if something went wrong; the log has it all.
    """
    drain = Drain(options, screen)
    result = unittest.TestResult()
    drain.run(result)
    problems = [text for _, text in (*result.errors, *result.failures)]
    if problems:
        print(*problems, sep='\n', file=sys.__stderr__, flush=True)
        raise RuntimeError(problems[0].strip().splitlines()[-1])
    return drain._report
