# SPDX-License-Identifier: Apache-2.0

"""The live migrations of one host that are not over.

Whether there is one of a migration, or of a server, is asked here.
"""

import threading

from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception
from nova_throttle import lifecycle


class Registry:
    """The migrations of one host, by migration and by instance.

    An instance may have several, if its state was reset: one may be in hand,
    and the others leave.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_migration: dict[str, migration_lib.LiveMigration] = {}
        self._by_instance: dict[
            str, tuple[migration_lib.LiveMigration, ...]
        ] = {}

    def add(self, migration: migration_lib.LiveMigration) -> None:
        """Add a migration.

        :raises DuplicateRequest: if there is one of the same migration.
        """
        uuid = migration.record.uuid
        if self._by_migration.setdefault(uuid, migration) is not migration:
            raise exception.DuplicateRequest(migration_uuid=uuid)
        with self._lock:
            others = self._by_instance.get(migration.instance.uuid, ())
            self._by_instance[migration.instance.uuid] = (*others, migration)

    def remove(self, migration: migration_lib.LiveMigration) -> None:
        """Forget a migration; twice is harmless."""
        self._by_migration.pop(migration.record.uuid, None)
        with self._lock:
            migrations = self._by_instance.pop(migration.instance.uuid, ())
            others = tuple(
                other for other in migrations if other is not migration
            )
            if others:
                self._by_instance[migration.instance.uuid] = others

    def of_migration(
        self, migration_uuid: str
    ) -> migration_lib.LiveMigration | None:
        """Return the one of a record."""
        return self._by_migration.get(migration_uuid)

    def all(self) -> list[migration_lib.LiveMigration]:
        """Return all of them, in the order in which they came."""
        return list(self._by_migration.values())

    def all_of_instance(
        self, instance_uuid: str
    ) -> tuple[migration_lib.LiveMigration, ...]:
        """Return the migrations of an instance, the newest last."""
        return self._by_instance.get(instance_uuid, ())

    def of_instance(
        self, instance_uuid: str
    ) -> migration_lib.LiveMigration | None:
        """Return the one of an instance that is in hand, or its newest."""
        migrations = self.all_of_instance(instance_uuid)
        in_hand = [
            migration
            for migration in migrations
            if migration.state is not lifecycle.State.QUEUED
        ]
        return next(reversed(in_hand or list(migrations)), None)

    def queued_for(self, dest: str) -> list[migration_lib.LiveMigration]:
        """Return the migrations that are queued for a destination."""
        return [
            migration
            for migration in self.all()
            if migration.destination == dest
            and migration.state is lifecycle.State.QUEUED
        ]

    def moving(self) -> list[migration_lib.LiveMigration]:
        """Return those whose guests move."""
        return [
            migration
            for migration in list(self._by_migration.values())
            if migration.state is lifecycle.State.TRANSFERRING
        ]

    def awaiting_callback(self) -> list[migration_lib.LiveMigration]:
        """Return those whose driver returned and did not call back."""
        return [
            migration
            for migration in self.all()
            if migration.hold.awaits_callback
        ]
