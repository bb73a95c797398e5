# SPDX-License-Identifier: Apache-2.0

"""One accepted live migration, from its RPC request to its real end.

What was asked for, what is known of it since, and the steps that it takes.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import time
from typing import Any

from oslo_utils import timeutils

from nova_throttle.admission import request as request_lib
from nova_throttle.compute import border
from nova_throttle.compute.source import hold as hold_lib
from nova_throttle.compute.source import state_machine
from nova_throttle import events
from nova_throttle import lifecycle
from nova_throttle.transfer import pace as pace_lib
from nova_throttle.transfer import progress as progress_lib

State = lifecycle.State

# Seconds for which what a request came with need not be read again: it was
# read to make it.
NEW = 2.0


class LiveMigration(state_machine.StateMachine):
    """What the source knows of a live migration.

    :param context: the request context that it runs under.
    :param destination: the destination host.
    :param instance: the instance, as it came with the request.
    :param block_migration: whether disks are copied, as asked for.
    :param record: the migration record.
    :param migrate_data: what the destination's check returned.
    :param request: what the admission core knows of it.
    :param publish: told of each change of its state.
    :param on_end: called once, with this, when nothing keeps its slots.
    :param state: where it goes on, if it was accepted before a restart.
    """

    def __init__(
        self,
        context: border.Context,
        destination: str,
        instance: border.Instance,
        block_migration: border.BlockMigration,
        record: border.MigrationRecord,
        migrate_data: border.MigrateData,
        *,
        request: request_lib.Request,
        publish: Callable[[events.Transition], None],
        on_end: Callable[['LiveMigration'], None],
        state: State = State.QUEUED,
    ) -> None:
        super().__init__(state)
        self.context = context
        self.destination = destination
        self.instance = instance
        self.block_migration = block_migration
        self.record = record
        self.migrate_data = migrate_data
        # As it came with the request: later the destination adds to it.
        self.requested_data = migrate_data
        # The volumes as they were before the destination prepared; None
        # while nothing is prepared there.
        self.source_bdms: border.BlockDevices = None
        # Their attachments to the source, by volume.
        self.attachments: Mapping[str, str] = {}
        self.error: BaseException | None = None
        # Why its end is not reached yet, while that is tried again.
        self.problem: str | None = None
        # Whether it was admitted before, and met a fault that may pass.
        self.was_put_back = False
        # Whether it was seen waiting for more than a first answer.
        self.has_waited = False
        self._came_at = time.monotonic()
        self.accepted_at = timeutils.utcnow(with_timezone=True)
        # Whether it was accepted before a restart: it has no user's token.
        self.carried_over = False
        # What the journal did not keep of the request: secrets.
        self.unkept: Sequence[str] = ()
        # How Nova's shutdown knows it.
        self.task_key: Any = None
        # The open event of the instance action; for which gates it has had
        # others; and whether one of them may have no end.
        self.event: Any = None
        self.shown_gates: set[str] = set()
        self.lost_event = False
        self.has_fault = False
        self.request = request
        self.hold = hold_lib.Hold(lambda: on_end(self))
        # How fast its guest may move, from when it is prepared; and how far
        # it is, as far as its driver tells.
        self.pace: pace_lib.Pace | None = None
        self.progress: progress_lib.Progress | None = None
        self._publish = publish

    def __repr__(self) -> str:
        return f'<LiveMigration {self.uuid}: {self._state.value}>'

    @property
    def uuid(self) -> str:
        """The UUID of the migration record."""
        uuid: str = self.record.uuid
        return uuid

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What Nova's methods are called with, in their order."""
        return (
            self.context,
            self.destination,
            self.instance,
            self.block_migration,
            self.record,
            self.migrate_data,
        )

    @property
    def is_new(self) -> bool:
        """Whether what it came with was read a moment ago."""
        return (
            not self.carried_over
            and not self.was_put_back
            and not self.has_waited
            and time.monotonic() - self._came_at < NEW
        )

    @property
    def may_be_prepared(self) -> bool:
        """Whether its destination may hold something that preparing made."""
        return self.source_bdms is not None

    def announce(self) -> None:
        """Tell of it, before it first changes its state."""
        self._tell(self._state if self.carried_over else None)

    def put_back(self, request: request_lib.Request) -> None:
        """Go back to the queue, with nothing prepared.

        :param request: the same request, with a ticket of its own.
        :raises MigrationAborted: if an abort came before.
        """
        with self._go(State.QUEUED, asks=True):
            self.request = request
            self.was_put_back = True

    def prepared(self, migrate_data: border.MigrateData) -> None:
        """Note that the destination has prepared.

        :param migrate_data: what it returned: a rollback needs it.
        """
        self.migrate_data = migrate_data
        self.become(State.PREPARED)

    def undone(self) -> None:
        """Note that the destination holds nothing that preparing made."""
        self.source_bdms = None
        self.attachments = {}

    def drive(self) -> None:
        """Note that the driver has it from now on.

        :raises MigrationAborted: if an abort came before.
        """
        self.enter(State.TRANSFERRING)
        self.hold.enter_driver()

    def _tell(self, before: State | None) -> None:
        self._publish(
            events.Transition(
                migration_uuid=self.uuid,
                instance_uuid=self.instance.uuid,
                destination=self.destination,
                before=before,
                after=self._state,
                at=timeutils.utcnow(with_timezone=True),
                status=self.record.status,
            )
        )
