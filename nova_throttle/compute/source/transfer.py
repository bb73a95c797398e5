# SPDX-License-Identifier: Apache-2.0

"""From prepared to the wire: who has the network link.

A migration enters the driver only with its slots of the transfer stage, and
gives them back when none of its bytes moves any more. One that has to wait
does so in the thread that prepared it, and can be aborted at any moment.
"""

from collections.abc import Callable
from concurrent import futures
import threading
import time

from oslo_log import log as logging

from nova_throttle.admission import controller
from nova_throttle.admission import effects
from nova_throttle.admission import request as request_lib
from nova_throttle.compute import border
from nova_throttle.compute import gates
from nova_throttle.compute import keyed_workers
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import entries
from nova_throttle.compute.source import link as link_lib
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import succession as succession_lib
from nova_throttle.compute.source import undo_preparation
from nova_throttle.compute.source import wait_events as wait_events_lib
from nova_throttle.compute import threads
from nova_throttle import exception
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle
from nova_throttle.transfer import pace as pace_lib
from nova_throttle.transfer import progress as progress_lib
from nova_throttle.transfer import watcher

LOG = logging.getLogger(__name__)

# How often it is seen, of the first that wait, whether all is still so: in
# seconds; and of how many.
LOOK_INTERVAL = 2.0
AHEAD = 2


class _Turn:
    """One wait for the transfer stage: over once it is granted or cancelled.

    A future has no wait for the instant at which it becomes running.

    :param migration: what waits.
    """

    def __init__(self, migration: migration_lib.LiveMigration) -> None:
        self.migration = migration
        # When all was seen to be as it was, in seconds on the monotonic clock.
        self.seen_at = time.monotonic()
        # Why it is not to go on waiting.
        self.ended_by: exception.ThrottleError | None = None
        self.ticket: request_lib.Ticket = futures.Future()
        self.decided = threading.Event()
        self.ticket.add_done_callback(lambda ticket: self.decided.set())


class Transfer(watcher.Watcher):
    """Hands the link of one host on from one live migration to the next.

    :param migrations: the live migrations of this host.
    :param journal: where they are kept.
    :param throttle: its admission controller.
    :param succession: tells which migration has a server.
    :param wait_events: reports what they wait for.
    :param link: says how fast each goes.
    """

    def __init__(
        self,
        migrations: registry.Registry,
        journal: journal_lib.Journal,
        throttle: controller.Controller,
        succession: succession_lib.Succession,
        wait_events: wait_events_lib.WaitEvents,
        link: link_lib.Link,
    ) -> None:
        self._migrations = migrations
        self._journal = journal
        self._throttle = throttle
        self._succession = succession
        self._wait_events = wait_events
        self._link = link
        self._turns: dict[str, _Turn] = {}
        self._workers = keyed_workers.KeyedWorkers(
            'turn', self._look_ahead, threads=AHEAD
        )
        # Set by who wants to know: called with each that has to wait.
        self.on_wait: Callable[[migration_lib.LiveMigration], None] = (
            lambda migration: None
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is read or to be read."""
        return self._workers.idle

    def watch(self, driver: border.Driver) -> None:
        """Be told by a driver, if it can, when it has moved the last byte.

        The slots of any other come back when it is done with all.
        """
        watch = getattr(driver, 'watch_transfers', None)
        if watch is not None:
            watch(self)
            self._link.watch(driver.may_be_slow)

    def wait(self, migration: migration_lib.LiveMigration) -> None:
        """Let a prepared migration go on in its turn.

        :raises MigrationAborted: if an abort comes before.
        :raises StoppedBeforeTransfer: if the service stops before.
        :raises DestinationStops: if its destination stops before.
        :raises ThrottleError: if what it was prepared for is over.
        """
        turn = _Turn(migration)
        migration.pace = pace_lib.Pace()
        migration.wait_with(turn.ticket)
        self._turns[migration.uuid] = turn
        try:
            self._wait(migration, turn)
        finally:
            del self._turns[migration.uuid]
        if time.monotonic() - turn.seen_at < checks.GOOD:
            return
        try:
            self._check(migration)
        except BaseException:
            self._throttle.leave(migration.uuid)
            raise

    def begin(self, grant: effects.Grant) -> None:
        """Let one go on that has its slots, or is on deck.

        Called by the controller.
        """
        uuid = grant.request.migration_uuid
        turn = self._turns.get(uuid)
        if turn is None:
            # It has begun on deck.
            migration = self._migrations.of_migration(uuid)
        else:
            migration = turn.migration
        if migration is None:
            return
        if grant.stage == gates.DECK:
            self._link.begin_early(migration)
        else:
            self._link.begin(migration)
        if turn is not None:
            turn.decided.set()

    # What the driver asks and tells

    def pace_of(self, instance_uuid: str) -> pace_lib.Pace:
        """Return how fast the guest of a server may move."""
        migration = self._migrations.of_instance(instance_uuid)
        return (migration and migration.pace) or super().pace_of(instance_uuid)

    def note(
        self, instance_uuid: str, progress: progress_lib.Progress
    ) -> None:
        """Take up how far a guest is."""
        migration = self._migrations.of_instance(instance_uuid)
        if migration is not None:
            migration.progress = progress
            self._link.observe(migration.uuid, progress)

    def end(self, instance_uuid: str) -> None:
        """Note that nothing of a guest moves any more; twice is harmless."""
        migration = self._migrations.of_instance(instance_uuid)
        if migration is not None:
            migration.progress = None
            # First, or the link would give it another turn.
            self._throttle.leave(migration.uuid)
            self._link.end(migration.uuid)
            self._wait_events.refresh()

    def look(self, context: border.Context) -> None:
        """See what the link carries, and say again what is to be slow."""
        self._link.look(bool(self._turns))

    def progress(self) -> dict[str, progress_lib.Progress]:
        """Return how far each guest is, by migration UUID."""
        return {
            migration.uuid: migration.progress
            for migration in self._migrations.moving()
            if migration.progress is not None
        }

    def leave(self, host: str) -> None:
        """Have none wait, prepared, for a destination that is to stop.

        It would keep that from stopping, or be lost by it. One with devices
        claimed there waits on: only the scheduler could claim them again.
        """
        for turn in list(self._turns.values()):
            migration = turn.migration
            if (
                migration.destination == host
                and not undo_preparation.has_claims(migration)
            ):
                turn.ended_by = exception.DestinationStops(host=host)
                turn.ticket.cancel()

    def stop(self) -> None:
        """Have none wait any more: the service stops, and none may start."""
        for turn in list(self._turns.values()):
            turn.ticket.cancel()

    def _wait(
        self, migration: migration_lib.LiveMigration, turn: _Turn
    ) -> None:
        self._throttle.advance(
            migration.uuid, turn.ticket, self._link.may_be_early(migration)
        )
        waits = not turn.decided.is_set()
        self._link.note_prepared(waits)
        if waits:
            self._journal.put(
                entries.entry_of(migration, lifecycle.State.PREPARED)
            )
            self._wait_events.refresh()
            self.on_wait(migration)
        if self._throttle.closed:
            # It came when those that waited had been told already.
            turn.ticket.cancel()
        while not turn.decided.wait(LOOK_INTERVAL):
            if migration.uuid in list(self._turns)[:AHEAD]:
                self._workers.post(migration.uuid)
        if not turn.ticket.cancelled():
            # It may be over by now, if it was on deck.
            return
        # Whoever cancelled it may not have told the admission yet.
        self._throttle.withdraw(migration.uuid, turn.ticket)
        migration.enter(lifecycle.State.PREPARED)
        if turn.ended_by is not None and not self._throttle.closed:
            raise turn.ended_by
        raise exception.StoppedBeforeTransfer()

    def _look_ahead(self, migration_uuid: str) -> None:
        """Check one that waits; what is wrong is said when its turn comes."""
        turn = self._turns.get(migration_uuid)
        if turn is None:
            return
        threads.step_back()
        now = time.monotonic()
        try:
            self._check(turn.migration)
        except Exception as error:
            LOG.debug('%s may have to leave: %s', turn.migration, error)
        else:
            turn.seen_at = now

    def _check(self, migration: migration_lib.LiveMigration) -> None:
        """See that what it was prepared for is still true after its wait."""
        standing = self._succession.standing(migration)
        if not standing.is_ours:
            raise standing.reason
        checks.check_destination(migration)
