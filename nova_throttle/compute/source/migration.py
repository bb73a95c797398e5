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

"""One accepted live migration, from its RPC request to its real end.

An abort is never lost between two steps: each step asks, under one lock,
whether an abort came before it. A slot is given back once, when the driver
has returned and none of its callbacks is running or still to come.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import enum
import threading
import time
from typing import Any

from oslo_utils import timeutils

from nova_throttle.admission import request as request_lib
from nova_throttle import exception

# One for all: it is held for a few instructions, and a lock for each would be
# a tenth of what a queued migration weighs.
_LOCK = threading.Lock()

# Seconds for which what a request was asked for need not be read again.
FRESH = 2.0


class Phase(enum.Enum):
    """How far a migration has come."""

    QUEUED = 'queued'
    PREPARING = 'preparing'
    PREPARED = 'prepared'
    IN_DRIVER = 'in driver'
    OVER = 'over'


class LiveMigration:
    """What a compute manager knows of a live migration.

    :param context: the request context that it runs under.
    :param dest: the destination host.
    :param instance: the instance, as it came with the request.
    :param block_migration: whether disks are copied, as asked for.
    :param record: the migration record.
    :param migrate_data: what the destination's check returned.
    :param request: what the admission core knows of it.
    :param on_over: called once, with the migration, when it is really over.
    """

    def __init__(
        self,
        context: Any,
        dest: str,
        instance: Any,
        block_migration: Any,
        record: Any,
        migrate_data: Any,
        *,
        request: request_lib.Request,
        on_over: Callable[['LiveMigration'], None],
    ) -> None:
        self.context = context
        self.dest = dest
        self.instance = instance
        self.block_migration = block_migration
        self.record = record
        self.migrate_data = migrate_data
        # As it came with the request: later the destination adds to it.
        self.requested_data = migrate_data
        # The instance as it was found when the migration had to leave.
        self.found_instance: Any = None
        # What the records said of the two then.
        self.standing: Any = None
        # The volumes as they were before the destination prepared.
        self.source_bdms: Any = None
        self.error: BaseException | None = None
        # Whether a callback of Nova's (post or rollback) has succeeded.
        self.called_back = False
        # Whether what Nova's callback did not do is left to the leaver.
        self.is_left = False
        # Whether nobody could say how it ended: it is looked at again, as
        # after a restart.
        self.is_unended = False
        # Whether its server is on the destination though Nova's callback
        # failed.
        self.has_arrived = False
        # False for one that was admitted while it was submitted.
        self.has_waited = True
        # Whether it was admitted before, and met a fault that may pass.
        self.was_put_back = False
        # Whether its destination was asked for a slot before.
        self.asked = False
        self._known_at = time.monotonic()
        self.accepted_at = timeutils.utcnow(with_timezone=True)
        # Whether it was accepted before a restart: it has no user's token.
        self.carried_over = False
        # What the journal did not keep of the request: secrets.
        self.unkept: Sequence[str] = ()
        # How Nova's shutdown knows it.
        self.task_key: Any = None
        # The open event of the instance action.
        self.event: Any = None
        self.request = request
        self._on_over = on_over
        self._phase = Phase.QUEUED
        self._aborted = False
        self._callbacks = 0
        # Whether a callback may still come: only a driver calls back
        # later than it returns, and not if it raised.
        self._awaited = False
        self._returned = False

    def __repr__(self) -> str:
        return f'<LiveMigration {self.record.uuid}: {self._phase.value}>'

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What Nova's methods are called with, in their order."""
        return (
            self.context,
            self.dest,
            self.instance,
            self.block_migration,
            self.record,
            self.migrate_data,
        )

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        return self._phase

    @property
    def is_stale(self) -> bool:
        """Whether too long ago was said what it was asked for."""
        return time.monotonic() - self._known_at >= FRESH

    @property
    def may_be_prepared(self) -> bool:
        """Whether its destination may hold something that preparing made."""
        return self.source_bdms is not None and not self.called_back

    @property
    def awaits_callback(self) -> bool:
        """Whether the driver has returned but never called back."""
        return self._returned and self._awaited

    def enter(self, phase: Phase) -> None:
        """Go on to the next phase.

        :raises MigrationAborted: if an abort came before.
        """
        with _LOCK:
            if self._aborted:
                raise exception.MigrationAborted(
                    instance_uuid=self.instance.uuid
                )
            self._phase = phase
            self._awaited = phase is Phase.IN_DRIVER

    def put_back(self, request: request_lib.Request) -> None:
        """Go back to the queue, with nothing prepared.

        :param request: the same request, with a ticket of its own.
        :raises MigrationAborted: if an abort came before.
        """
        with _LOCK:
            if self._aborted:
                raise exception.MigrationAborted(
                    instance_uuid=self.instance.uuid
                )
            self.request = request
            self.was_put_back = True
            self._phase = Phase.QUEUED

    def prepared(self, migrate_data: Any) -> None:
        """Note that the destination has prepared.

        :param migrate_data: what it returned: a rollback needs it.
        """
        with _LOCK:
            self.migrate_data = migrate_data
            self._phase = Phase.PREPARED

    def request_abort(self) -> bool:
        """Ask for an abort of an admitted migration.

        :returns: whether it will be aborted on its way to the driver;
            False if the driver has it, which must be asked then.
        """
        with _LOCK:
            if self._phase in (Phase.IN_DRIVER, Phase.OVER):
                return False
            self._aborted = True
            return True

    @contextlib.contextmanager
    def callback(self) -> Iterator[None]:
        """Keep the slot while a callback of the driver runs."""
        with _LOCK:
            self._callbacks += 1
        try:
            yield
            self.called_back = not self.is_left
        except BaseException as error:
            self.error = self.error or error
            raise
        finally:
            with _LOCK:
                self._callbacks -= 1
                self._awaited = False
            self._settle()

    def returned(self, error: BaseException | None = None) -> None:
        """Note that the work returned to the manager.

        :param error: what it raised: no callback comes after that.
        """
        with _LOCK:
            self._returned = True
            if error is not None:
                self.error = error
                self._awaited = False
        self._settle()

    def found_over(self, record: Any) -> None:
        """Note that the migration record says that it is over.

        :param record: the record as it is now.
        """
        with _LOCK:
            self.record = record
            self._awaited = False
        self._settle()

    def _settle(self) -> None:
        with _LOCK:
            over = (
                self._returned
                and not self._callbacks
                and not self._awaited
                and self._phase is not Phase.OVER
            )
            if over:
                self._phase = Phase.OVER
        if over:
            self._on_over(self)
