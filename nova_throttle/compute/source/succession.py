# SPDX-License-Identifier: Apache-2.0


"""One server has one migration in hand, whoever asks for how many.

Nova lets an administrator reset the state of a server that migrates, and ask
again. Who has the server then is decided here, by migration and by the
records; and which migration Nova's code is about that names only the server.
"""

from nova_throttle.compute import present
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import registry
from nova_throttle import journal as journal_lib
from nova_throttle import lifecycle
from nova_throttle.objects import entry as entry_obj
from nova_throttle.outcome import course


class Succession:
    """Tells which migration has a server.

    :param migrations: the live migrations of this host.
    :param journal: where they are kept.
    """

    def __init__(
        self, migrations: registry.Registry, journal: journal_lib.Journal
    ) -> None:
        self._migrations = migrations
        self._journal = journal
        # By server: the migrations that a restart found in hand, and which
        # are not dealt with yet.
        self._interrupted: dict[str, str] = {}

    def in_hand(self, instance_uuid: str) -> str | None:
        """Return what a restart found in hand of a server, if anything."""
        return self._interrupted.get(instance_uuid)

    def state_of(self, migration_uuid: str) -> lifecycle.State | None:
        """Tell how far this host has come with a migration.

        :returns: None if it is not known here; OVER once its server is the
            destination's, whatever is still to be given back.
        """
        entry = self._journal.get(migration_uuid)
        if entry is not None:
            return course.known_state(
                lifecycle.State(entry.state), entry.status
            )
        known = self._migrations.of_migration(migration_uuid)
        return lifecycle.State.QUEUED if known else None

    def standing(
        self, migration: migration_lib.LiveMigration
    ) -> present.Standing:
        """Read whose the server of a migration is by now."""
        return present.read(migration.context, migration.record, self.state_of)

    def is_deleted(self, migration: migration_lib.LiveMigration) -> bool:
        """Tell whether the server of a migration is deleted, or nearly so."""
        return self.standing(migration).state is present.State.DELETED

    def begin(self, entry: entry_obj.JournalEntry) -> None:
        """Note that a restart found a migration in hand."""
        self._interrupted[entry.instance_uuid] = entry.migration_uuid

    def end(self, entry: entry_obj.JournalEntry) -> None:
        """Note that it was dealt with what a restart found."""
        if self._interrupted.get(entry.instance_uuid) == entry.migration_uuid:
            del self._interrupted[entry.instance_uuid]
