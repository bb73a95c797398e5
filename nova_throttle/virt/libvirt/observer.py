# SPDX-License-Identifier: Apache-2.0

"""What watches a migration decides nothing: libvirt's call says how it ended.

Nova's monitor saves statistics and writes to the database while it watches.
If that fails it is noted, and the migration watched again; it is neither
aborted for it, nor does one fail that has arrived (LP 1905944 is of that
kind).
"""

from collections.abc import Callable
from concurrent import futures
from typing import Any

from oslo_log import log as logging

from nova_throttle.compute import border
from nova_throttle.virt.libvirt import operation as operation_lib

LOG = logging.getLogger(__name__)

# Seconds until a migration is watched again, doubled from the first to the
# last after each time that this failed.
AGAIN_FIRST = 0.5
AGAIN_LAST = 30.0

Callback = Callable[..., Any]


class Observer:
    """Sees that one of two callbacks is called, once.

    :param operation: the call to libvirt.
    :param post_method: Nova's, for a guest that has arrived.
    :param recover_method: Nova's, for one that has not.
    :param unwatched: called when it can't be watched.
    """

    def __init__(
        self,
        operation: operation_lib.Operation,
        post_method: Callback,
        recover_method: Callback,
        unwatched: Callable[[], None] = lambda: None,
    ) -> None:
        self._operation = operation
        self._unwatched = unwatched
        self._post = post_method
        self._recover = recover_method
        # Whether one of them was called.
        self.has_ended = False

    def post(self, *args: Any, **kwargs: Any) -> Any:
        """Stand in for Nova's callback of a guest that has arrived."""
        self.has_ended = True
        return self._post(*args, **kwargs)

    def recover(self, *args: Any, **kwargs: Any) -> Any:
        """Stand in for Nova's callback of a guest that has not."""
        self.has_ended = True
        if self._operation.abort_requested:
            # libvirt shows most aborts as a mere failure.
            kwargs['migration_status'] = 'cancelled'
        return self._recover(*args, **kwargs)

    def watch(
        self, monitor: Callable[[], None], end: Callable[[], None]
    ) -> None:
        """Watch until the call to libvirt is over, whatever fails.

        :param monitor: watches, and calls back at the end.
        :param end: calls back by what libvirt's call has returned.
        """
        delay = AGAIN_FIRST
        while True:
            try:
                return monitor()
            except Exception as error:
                if self.has_ended:
                    raise
                self._note(error)
            self._unwatched()
            if self._operation.future.done():
                return end()
            futures.wait([self._operation.future], delay)
            delay = min(2 * delay, AGAIN_LAST)

    def end(
        self,
        context: border.Context,
        instance: border.Instance,
        dest: str,
        block_migration: bool,
        migrate_data: border.MigrateData,
    ) -> None:
        """Call back by what libvirt's call returns, once it has."""
        if self._operation.has_succeeded():
            self.post(context, instance, dest, block_migration, migrate_data)
        else:
            self.recover(context, instance, dest, migrate_data)

    def _note(self, error: Exception) -> None:
        LOG.warning(
            'A live migration could not be watched, and goes on: %s',
            error,
            instance_uuid=self._operation.instance_uuid,
            exc_info=True,
        )
