# SPDX-License-Identifier: Apache-2.0

"""The one module that puts the parts of a host together.

A request goes from the intake over its run to its completion; what each part
knows of the others, it is told here.
"""

import functools
from typing import Any

import nova.conf

from nova_throttle.admission import effects
from nova_throttle.admission import standstill
from nova_throttle.compute import border
from nova_throttle.compute import gates
from nova_throttle.compute import negotiation
from nova_throttle.compute.source import cleanup
from nova_throttle.compute.source import completion
from nova_throttle.compute.source import control
from nova_throttle.compute.source import deferral
from nova_throttle.compute.source import ending
from nova_throttle.compute.source import intake
from nova_throttle.compute.source import link
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle.compute.source import precheck
from nova_throttle.compute.source import registry
from nova_throttle.compute.source import run
from nova_throttle.compute.source import succession
from nova_throttle.compute.source import transfer
from nova_throttle.compute.source import wait_events
from nova_throttle.compute import threads
from nova_throttle import events
from nova_throttle import journal
from nova_throttle import lifecycle

CONF = nova.conf.CONF


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
        self.negotiation = self._make_negotiation()
        self.throttle = self.negotiation.throttle
        self.wait_events = wait_events.WaitEvents(
            manager.host, self.migrations, self.throttle.snapshot
        )
        self.control = control.Control(
            manager,
            self.migrations,
            self.journal,
            self.throttle,
            self.wait_events,
        )
        self.background = threads.BackgroundWorker('background')
        self.succession = succession.Succession(self.migrations, self.journal)
        self.cleanup = cleanup.Cleanup(
            manager, self.journal, self.succession.state_of
        )
        self._make_ways_out()
        self._make_ways_in()
        self._make_way_to_the_wire()

    def _make_negotiation(self) -> negotiation.Negotiation:
        # What it calls is made later.
        return negotiation.Negotiation(
            self.manager.host,
            self._start,
            lambda: self.wait_events.refresh(),
            lambda host: self.transfer.leave(host),
            lambda: self.transfer.progress(),
            lambda: self.link.slow(),
        )

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

    def _make_way_to_the_wire(self) -> None:
        self.link = link.Link(
            self.migrations,
            self.throttle,
            functools.partial(self.throttle.is_automatic, gates.TRANSFER_OUT),
        )
        self.events.listen(self.link.note)
        self.transfer = transfer.Transfer(
            self.migrations,
            self.journal,
            self.throttle,
            self.succession,
            self.wait_events,
            self.link,
        )
        self.transfer.watch(self.manager.driver)

    def knows(self, migration_uuid: str) -> bool:
        """Tell whether this host has a migration that is not over."""
        return (
            self.migrations.of_migration(migration_uuid) is not None
            or self.cleanup.knows(migration_uuid)
            or self.journal.get(migration_uuid) is not None
        )

    def _start(self, grant: effects.Grant) -> None:
        """Have a migration begin a stage."""
        is_first = grant.stage == gates.IN_PROGRESS
        begin = self.run.start if is_first else self.transfer.begin
        begin(grant)

    def stop(self) -> None:
        """Start nothing from now on; twice is harmless."""
        self.throttle.halt(standstill.Standstill.STOPPING)
        self.transfer.stop()

    def make_migration(
        self,
        *args: Any,
        priority: int = 0,
        held: bool = False,
        state: lifecycle.State = lifecycle.State.QUEUED,
    ) -> migration_lib.LiveMigration:
        """Make a migration of the arguments of Nova's RPC handler."""
        _, dest, instance, _, record, _ = args
        request = gates.make_request(
            record.uuid, record.id, instance.uuid, dest, priority, held
        )
        return migration_lib.LiveMigration(
            *args,
            request=request,
            publish=self.events.publish,
            on_end=self.completion.finish,
            state=state,
        )
