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

"""The play: boot servers, ask for all live migrations at once, watch.

All it does to Nova goes through the compute API. What it tells is read from
the migration records, from libvirt's stand-in and from the throttle.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import time

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.demo import cloud as cloud_lib
from nova_throttle.demo import records
from nova_throttle.demo import report

# Seconds between two pictures when nothing changes.
TICK = 0.1
# Seconds in which something must change, beyond what libvirt takes.
PATIENCE = 90.0

Tell = Callable[[report.Message], None]


class Play:
    """One drain.

    :param options: what the demo was asked to do.
    :param tell: is told of everything.
    """

    def __init__(self, options: report.Options, tell: Tell) -> None:
        self._options = options
        self._tell = tell
        # Name and source of each server, in the order of the names.
        self._names: dict[str, tuple[str, str]] = {}
        self.summary: report.Summary | None = None

    def __call__(self, cloud: cloud_lib.Cloud) -> None:
        """Play it in a cloud."""
        self._cloud = cloud
        self._names = cloud.boot(self._options.servers)
        cloud.close_sources()
        began = time.monotonic()
        self._ask()
        self._watch()
        self.summary = self._summarize(time.monotonic() - began)

    def _ask(self) -> None:
        total = len(self._names)
        text = f'Asking for {total} live migrations at once'
        for count, uuid in enumerate(self._names, 1):
            self._tell(report.Step(text, count, total))
            self._cloud.ask_to_migrate(uuid)
            self._tell(self._picture(self._cloud.records.wait(0)))
        self._tell(report.Step(f'Live-migrating {total} servers'))

    def _watch(self) -> None:
        """Tell of the drain until all is over."""
        last_change = time.monotonic()
        while not self._over():
            changes = self._cloud.records.wait(TICK)
            now = time.monotonic()
            if changes:
                last_change = now
            elif now - last_change > PATIENCE + self._options.seconds:
                raise cloud_lib.CloudError('the drain does not go on')
            self._tell(self._picture(changes))
        self._tell(self._picture(self._cloud.records.wait(0)))

    def _over(self) -> bool:
        found = self._cloud.records.all().values()
        over = [each for each in found if each.status in report.FINAL]
        # A slot is given back a little after the record is final.
        return len(over) == len(self._names) and all(
            gate.idle for gate in _gates(self._cloud.snapshots())
        )

    def _picture(self, changes: list[records.Record]) -> report.Picture:
        snapshots = self._cloud.snapshots()
        queued = {
            entry.instance_uuid: entry
            for snapshot in snapshots.values()
            for entry in snapshot.queue
        }
        found = self._cloud.records.all()
        return report.Picture(
            _gates(snapshots),
            tuple(
                self._server(uuid, found.get(uuid), queued.get(uuid))
                for uuid in self._names
            ),
            tuple(
                self._server(
                    change.instance_uuid,
                    change,
                    queued.get(change.instance_uuid),
                )
                for change in changes
            ),
        )

    def _server(
        self,
        uuid: str,
        record: records.Record | None,
        entry: snapshot_lib.QueueEntry | None,
    ) -> report.Server:
        server = report.Server(*self._names[uuid])
        if record is None:
            return server
        if entry is not None and record.status == 'queued':
            server = dataclasses.replace(
                server,
                position=entry.position,
                waits_for=entry.waits_for,
            )
        return dataclasses.replace(
            server,
            destination=record.destination,
            status=record.status,
            waited=record.waited,
            took=record.took,
            progress=self._progress(record),
        )

    def _progress(self, record: records.Record) -> float:
        if record.status == 'completed':
            return 1.0
        return self._cloud.guests.progress(record.instance_uuid)

    def _summarize(self, elapsed: float) -> report.Summary:
        hosts = self._cloud.hosts_of_active()
        found = self._cloud.records.all()
        completed = [
            each
            for uuid, each in found.items()
            if each.status == 'completed'
            and hosts.get(uuid) == each.destination
        ]
        return report.Summary(
            options=self._options,
            completed=len(completed),
            peaks=(
                *self._peaks(report.SOURCE, self._options.limit),
                *self._peaks(report.DESTINATION, self._options.incoming),
            ),
            handler_ms=tuple(
                1000 * seconds
                for seconds in sorted(self._cloud.handler_seconds)
            ),
            waited=tuple(sorted(each.waited for each in found.values())),
            elapsed=elapsed,
        )

    def _peaks(self, gate: str, limit: int) -> Iterator[report.Peak]:
        sent = gate == report.SOURCE
        records, libvirt = (
            tally.sent if sent else tally.received
            for tally in (self._cloud.records.tally, self._cloud.guests.tally)
        )
        for host in sorted({*records, *libvirt}):
            yield report.Peak(
                host, gate, limit, records.get(host, 0), libvirt.get(host, 0)
            )


def _gates(
    snapshots: Mapping[str, snapshot_lib.Snapshot],
) -> tuple[report.Gate, ...]:
    return tuple(
        report.Gate(
            host,
            gate.name,
            gate.limit,
            len(gate.owners),
            len(gate.offered),
            len(gate.waiting),
        )
        for host, snapshot in snapshots.items()
        for gate in snapshot.gates.values()
    )


def perform(options: report.Options, tell: Tell) -> None:
    """Play a drain in an embedded Nova; the last that is told is its end."""
    play = Play(options, tell)
    try:
        cloud_lib.run(options, play, tell)
    except cloud_lib.CloudError as error:
        tell(report.Failure(str(error)))
    else:
        assert play.summary is not None  # it ran to its end
        tell(play.summary)
