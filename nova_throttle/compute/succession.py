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


"""One server has one migration in hand, whoever asks for how many.

Nova lets an administrator reset the state of a server that migrates, and ask
again. Who has the server then is decided here, by migration and by the
records; and which migration Nova's code is about that names only the server.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from nova_throttle.compute import job as job_lib
from nova_throttle.compute import present
from nova_throttle import exception


class Succession:
    """Tells which migration has a server.

    :param desk: the admission desk of this host.
    """

    def __init__(self, desk: Any) -> None:
        self._desk = desk
        # By server: the migrations that a restart found in hand, and which
        # are not dealt with yet.
        self.interrupted: dict[str, str] = {}

    def make_way(self, job: job_lib.Job) -> None:
        """Have an older request of the same server leave the queue.

        One that is in hand can't be interrupted: its guest may be about to
        arrive.

        :raises AlreadyMigrating: if there is one that is in hand.
        """
        uuid = job.instance.uuid
        for older in self._desk.jobs.all_of_instance(uuid):
            if older is job:
                break
            if not older.request.ticket.cancel():
                raise _already(older.migration.uuid, uuid)
            self._desk.leave(
                older,
                'cancelled',
                exception.Superseded(
                    instance_uuid=uuid, migration_uuid=job.migration.uuid
                ),
            )
        busy = self.interrupted.get(uuid) or self._desk.leaver.undoing(uuid)
        if busy is not None:
            raise _already(busy, uuid)

    def phase_of(self, migration_uuid: str) -> str | None:
        """Tell how far this host has come with a migration.

        :returns: the phase of its entry; None if it is not known here.
        """
        entry = self._desk.journal.get(migration_uuid)
        if entry is not None:
            phase: str = entry.phase
            return phase
        known = self._desk.jobs.of_migration(migration_uuid) is not None
        return 'queued' if known else None

    def standing(self, job: job_lib.Job) -> present.Standing:
        """Read whose the server of a job is by now."""
        return present.look(job.context, job.migration, self.phase_of)

    def is_deleted(self, job: job_lib.Job) -> bool:
        """Tell whether the server of a job is deleted, or nearly so."""
        return self.standing(job).state is present.State.DELETED

    def job_of(
        self,
        instance: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        place: int,
    ) -> job_lib.Job | None:
        """Return the job that a callback of the driver is about.

        :param args: what the callback was called with.
        :param place: where migrate_data, which names the migration, is there.
        """
        data = kwargs.get('migrate_data')
        if data is None and len(args) > place:
            data = args[place]
        uuid = present.migration_uuid(data)
        jobs: job_lib.Jobs = self._desk.jobs
        if uuid is None:
            return jobs.of_instance(instance.uuid)
        return jobs.of_migration(uuid)

    def may_roll_back(self, job: job_lib.Job, status: str) -> bool:
        """Get ready for Nova's rollback of a job.

        :param status: the final status that the record gets by it.
        :returns: False if the server is not the job's any more, or nobody
            can tell: then the job leaves.
        """
        reason: Exception
        try:
            standing = self.standing(job)
            if standing.is_ours:
                present.make_migrating(standing.instance)
                return True
            reason = standing.reason
        except Exception as error:
            reason = error
        job.is_left = True
        job.error = reason
        self._desk.leaver.leave(job, status, reason)
        return False


def _already(migration_uuid: str, instance_uuid: str) -> Exception:
    return exception.AlreadyMigrating(
        migration_uuid=migration_uuid, instance_uuid=instance_uuid
    )
