# SPDX-License-Identifier: Apache-2.0

"""The network link of this host, where its number of transfers is found out.

It tells the guests that move how fast they may be, and the admission what is
measured. Elsewhere all go at full speed, and nobody is told anything.
"""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import threading
import time
from typing import Any

from oslo_log import log as logging

from nova_throttle.agreement import outgoing
from nova_throttle.compute import gates
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle import events
from nova_throttle import lifecycle
from nova_throttle.transfer import ahead
from nova_throttle.transfer import link as link_lib
from nova_throttle.transfer import progress as progress_lib

LOG = logging.getLogger(__name__)

State = lifecycle.State

# One in any other state has begun no transfer, or its transfer is over.
_BEGINS = frozenset({State.PREPARING, State.PREPARED, State.TRANSFERRING})


class Link:
    """Carries out what is decided of the link.

    :param migrations: the live migrations of this host.
    :param throttle: its admission controller.
    :param is_automatic: tells whether the number of transfers is found out.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        migrations: registry.Registry,
        throttle: outgoing.OutgoingController,
        is_automatic: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._migrations = migrations
        self._throttle = throttle
        self._is_automatic = is_automatic
        self._clock = clock
        self._lock = threading.Lock()
        self._link = link_lib.Link()
        self._ahead = ahead.Ahead()
        # No driver is known to set the speed of any.
        self._may_be_slow: Callable[[Any, Any], bool] = lambda *each: False

    def watch(self, may_be_slow: Callable[[Any, Any], bool]) -> None:
        """Note that the driver tells how far each is, and sets its speed.

        :param may_be_slow: tells that of a server and the data of its
            migration.
        """
        self._may_be_slow = may_be_slow

    def slow(self) -> dict[str, link_lib.Place]:
        """Return where those are that go slowly, by migration UUID."""
        return self._link.slow()

    def preparing(self) -> contextlib.AbstractContextManager[None]:
        """Have one prepared when the link may need it soon."""
        if self._is_automatic():
            return self._ahead.turn()
        return contextlib.nullcontext()

    def note_prepared(self, waits: bool) -> None:
        """Note that one is prepared.

        :param waits: whether it has to wait for the link.
        """
        self._ahead.note_prepared(waits)

    def may_be_early(self, migration: migration_lib.LiveMigration) -> bool:
        """Tell whether one may be on deck."""
        return self._is_automatic() and self._may_be_slow(
            migration.instance, migration.migrate_data
        )

    def begin(self, migration: migration_lib.LiveMigration) -> None:
        """Note that one has its slots: it begins, or goes at full speed."""
        with self._lock:
            if self._link.place(migration.uuid) is None:
                self._link.begin(migration.uuid, False, self._clock())
                return
            effects = self._link.promote(migration.uuid)
        self._do(effects)

    def begin_early(self, migration: migration_lib.LiveMigration) -> None:
        """Note that one begins on deck."""
        LOG.info(
            'Live migration %s starts at low speed while another one ends',
            migration.uuid,
            instance=migration.instance,
        )
        with self._lock:
            now = self._clock()
            self._link.begin(migration.uuid, True, now)
        self._do([link_lib.Slow(migration.uuid, now)])

    def observe(
        self, migration_uuid: str, progress: progress_lib.Progress
    ) -> None:
        """Take up how far one is."""
        with self._lock:
            effects = self._link.observe(
                migration_uuid, progress, self._clock()
            )
        if self._is_automatic():
            self._do(effects)

    def end(self, migration_uuid: str) -> None:
        """Note that nothing of one moves any more; twice is harmless."""
        with self._lock:
            effects = self._link.end(migration_uuid)
        self._do(effects)

    def note(self, transition: events.Transition) -> None:
        """Forget one that is over, or goes back."""
        if transition.after not in _BEGINS:
            self.end(transition.migration_uuid)

    def look(self, waits: bool) -> None:
        """Say again what is to be slow, and see what the link carries.

        :param waits: whether anybody waits for the link.
        """
        still = self._throttle.stands_still or not self._is_automatic()
        with self._lock:
            effects = self._link.tick(self._clock(), waits, still)
        self._do(effects)

    def _do(self, effects: Iterable[link_lib.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, link_lib.Resize):
                if self._is_automatic():
                    self._throttle.resize_link(
                        gates.TRANSFER_OUT, effect.limit
                    )
                    LOG.info(
                        'The link takes %d outgoing transfers at a time',
                        effect.limit,
                    )
            elif isinstance(effect, link_lib.NoteEnd):
                self._throttle.note_end(effect.migration_uuid)
            elif isinstance(effect, link_lib.LeaveDeck):
                self._throttle.release(effect.migration_uuid, gates.DECK)
            elif isinstance(effect, link_lib.StepAside):
                self._step_aside(effect.migration_uuid)
            else:
                self._set_speed(effect.migration_uuid)

    def _set_speed(self, migration_uuid: str) -> None:
        """Have one go as fast as it may by now."""
        migration = self._migrations.of_migration(migration_uuid)
        if migration is None or migration.pace is None:
            return
        pace = migration.pace
        if self._is_slow(migration_uuid) and not pace.slow():
            # It may not be slow any more, whatever is said.
            with self._lock:
                self._link.let_go(migration_uuid)
        # It may have got its slots meanwhile, in another thread.
        if not self._is_slow(migration_uuid):
            pace.full()

    def _is_slow(self, migration_uuid: str) -> bool:
        with self._lock:
            return self._link.place(migration_uuid) in link_lib.SLOW

    def _step_aside(self, migration_uuid: str) -> None:
        LOG.info(
            'Live migration %s makes no headway: others go first',
            migration_uuid,
        )
        self._throttle.step_aside(migration_uuid)
