# SPDX-License-Identifier: Apache-2.0

"""The one module that puts the parts of a host together.

A request goes from the intake over its run to its completion; what each part
knows of the others, it is told here.
"""

from typing import Any

import nova.conf

from nova_throttle.admission import request as request_lib
from nova_throttle.agreement import messages
from nova_throttle.compute import border
from nova_throttle.compute import negotiation
from nova_throttle.compute.source import cleanup
from nova_throttle.compute.source import completion
from nova_throttle.compute.source import deferral
from nova_throttle.compute.source import ending
from nova_throttle.compute.source import intake
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import precheck
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import run
from nova_throttle.compute.source import succession
from nova_throttle.compute.source import wait_events
from nova_throttle.compute import threads
from nova_throttle import events
from nova_throttle import journal
from nova_throttle import lifecycle

CONF = nova.conf.CONF

# The gates of what leaves this host, and of what comes to it.
SOURCE = 'source'
DESTINATION = messages.DESTINATION

# The stages of a live migration: from its admission to its end, so far.
IN_PROGRESS = 'in progress'


def make_request(
    migration_uuid: str,
    migration_id: int,
    instance_uuid: str,
    dest: str,
    priority: int,
) -> request_lib.Request:
    """Make what the core knows of a live migration of this host.

    The id of its record, one sequence in all of a cell, is its position among
    the requests of all hosts.
    """
    gate = request_lib.RemoteGate(DESTINATION, dest)
    return request_lib.Request(
        migration_uuid=migration_uuid,
        instance_uuid=instance_uuid,
        destination=dest,
        needs=(request_lib.Needs((SOURCE,), (gate,)),),
        priority=priority,
        arrival=migration_id,
    )


class Assembly:
    """All that one host needs to decide on its live migrations.

    It only puts the parts together: each knows what it is given here.

    :param manager: the compute manager of this host, whose own methods do
        the work.
    """

    def __init__(self, manager: border.Manager) -> None:
        self.manager = manager
        self.events = events.Port()
        self.migrations = registry.Registry()
        self.journal = journal.Journal(
            CONF.nova_throttle.journal_dir, manager.host
        )
        self.negotiation = negotiation.Negotiation(
            manager.host,
            {IN_PROGRESS: {SOURCE: CONF.max_concurrent_live_migrations}},
            lambda grant: self.run.start(grant),
            lambda: self.wait_events.refresh(),
        )
        self.throttle = self.negotiation.throttle
        self.wait_events = wait_events.WaitEvents(
            manager.host, self.migrations, self.throttle.snapshot
        )
        self.background = threads.BackgroundWorker('background')
        self.succession = succession.Succession(self.migrations, self.journal)
        self.cleanup = cleanup.Cleanup(
            manager, self.journal, self.succession.state_of
        )
        self._make_ways_out()
        self._make_ways_in()

    def _make_ways_out(self) -> None:
        self.ending = ending.Ending(
            self.manager,
            self.migrations,
            self.journal,
            self.cleanup,
            self.succession,
        )
        self.completion = completion.Completion(
            self.manager,
            self.migrations,
            self.journal,
            self.throttle,
            self.succession,
            self.cleanup,
            self.wait_events,
            self.background,
        )
        self.deferral = deferral.Deferral(
            self.manager,
            self.migrations,
            self.throttle,
            self.completion.take_out,
        )
        self.events.listen(self.deferral.note)

    def _make_ways_in(self) -> None:
        self.intake = intake.Intake(
            self.manager,
            self.migrations,
            self.journal,
            self.throttle,
            self.succession,
            self.cleanup,
            self.deferral,
            self.wait_events,
            self.completion.take_out,
        )
        self.precheck = precheck.Precheck(
            self.manager, self.migrations, self.throttle.next_in_line
        )
        self.events.listen(self.precheck.note)
        self.run = run.Run(
            self.manager,
            self.migrations,
            self.journal,
            self.throttle,
            self.precheck,
            self.deferral,
            self.cleanup,
            self.wait_events,
            self.completion.take_out,
        )

    def knows(self, migration_uuid: str) -> bool:
        """Tell whether this host has a migration that is not over."""
        return (
            self.migrations.of_migration(migration_uuid) is not None
            or self.cleanup.knows(migration_uuid)
            or self.journal.get(migration_uuid) is not None
        )

    def make_migration(
        self,
        *args: Any,
        priority: int = 0,
        state: lifecycle.State = lifecycle.State.QUEUED,
    ) -> migration_lib.LiveMigration:
        """Make a migration of the arguments of Nova's RPC handler."""
        _, dest, instance, _, record, _ = args
        request = make_request(
            record.uuid, record.id, instance.uuid, dest, priority
        )
        return migration_lib.LiveMigration(
            *args,
            request=request,
            publish=self.events.publish,
            on_end=self.completion.finish,
            state=state,
        )
