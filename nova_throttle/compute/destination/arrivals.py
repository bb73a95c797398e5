# SPDX-License-Identifier: Apache-2.0

"""What comes to this host, by facts.

A slot of a destination comes back when the record of its migration is final,
or when its source is dead and nothing arrives any more. After a restart its
owners are found in the records before any slot is given.
"""

import dataclasses

from nova.compute import power_state
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.admission import standstill
from nova_throttle.agreement import claim as claim_lib
from nova_throttle.agreement import counting
from nova_throttle.agreement import messages
from nova_throttle.compute import border
from nova_throttle.compute import compat
from nova_throttle.compute import keyed_workers
from nova_throttle.compute import negotiation as negotiation_lib
from nova_throttle.compute.source import checks
from nova_throttle import exception
from nova_throttle import rpcapi

LOG = logging.getLogger(__name__)

_ACTIVE = ('preparing', 'running', 'running (post-copy)')

_ALL = (messages.DESTINATION, messages.TRANSFER_IN)


class Arrivals:
    """Keeps the incoming gate of a host true to the facts.

    :param manager: the compute manager of this host.
    :param peers: the agreement of this host with others.
    """

    def __init__(
        self, manager: border.Manager, peers: negotiation_lib.Negotiation
    ) -> None:
        self._manager = manager
        self._gate = peers.incoming
        self._api = rpcapi.HostAPI()
        # Instances that this host has prepared for and that are not here yet.
        self._begun: set[str] = set()
        self._counting = counting.Counting(rpcapi.PEER_TIMEOUT)
        self._reports = keyed_workers.KeyedWorkers('report', self._ask_source)

    @property
    def idle(self) -> bool:
        """Whether no source is asked."""
        return self._reports.idle

    def look(self, context: border.Context) -> bool:
        """Compare the gate with the records; open it once all is counted.

        :returns: whether it is still to be counted.
        """
        # Before the records are read: what comes later is not over.
        known = list(self._gate.migrations())
        begun = set(self._begun)
        facts = self._facts(context)
        down = self._down(context, facts)
        facts = [
            fact
            for fact in facts
            if fact.source not in down or self._arrives(context, fact)
        ]
        self._free_what_is_over(context, known, facts)
        # Nova may never say that an arrival was undone.
        for instance_uuid in begun.difference(f.instance_uuid for f in facts):
            self.end(instance_uuid)
        doubtful = self._gate.reconcile(facts, down)
        if self._gate.counts:
            doubtful = self._counting.missing({f.source for f in facts} - down)
            if not doubtful:
                self._open_gate()
        for source in doubtful:
            self._reports.post(source)
        return self._gate.counts

    def begin(
        self, context: border.Context, instance: border.Instance
    ) -> None:
        """Note that this host is asked to prepare for an instance."""
        self._begun.add(instance.uuid)
        if self._gate.begins(instance.uuid):
            return
        # Of a source that did not ask for a slot.
        try:
            facts = self._facts(context, instance_uuid=instance.uuid)
        except Exception:
            # Nova would prepare; the next look counts it.
            LOG.warning(
                'Cannot count a live migration that comes',
                instance=instance,
                exc_info=True,
            )
            return
        for fact in facts:
            if fact.gates:
                # One that asks nobody sends as soon as this has prepared.
                self._gate.arrives(dataclasses.replace(fact, gates=_ALL))

    def end(self, instance_uuid: str) -> None:
        """Note that an instance arrived, or that its arrival was undone."""
        self._begun.discard(instance_uuid)
        self._gate.landed(instance_uuid)
        # Nova has not, if the last message was declined or never came.
        compat.record_arrival_end(self._manager, instance_uuid)

    def _facts(
        self, context: border.Context, **only: str
    ) -> list[claim_lib.Fact]:
        found = objects.MigrationList.get_by_filters(
            context,
            {
                'host': self._manager.host,
                'migration_type': 'live-migration',
                'status': ['queued', *_ACTIVE],
                **only,
            },
        )
        return [
            claim_lib.Fact(
                migration.uuid,
                migration.instance_uuid,
                migration.source_compute,
                _gates(migration.status),
            )
            for migration in found
            # The filter is for either end.
            if migration.dest_compute == self._manager.host
        ]

    def _down(
        self, context: border.Context, facts: list[claim_lib.Fact]
    ) -> set[str]:
        """Return the sources that are dead."""
        # Those without a record too: they may wait here, or have an offer.
        known = self._gate.migrations().values()
        sources = {fact.source for fact in facts}.union(known)
        return {each for each in sources if checks.is_gone(context, each)}

    def _arrives(self, context: border.Context, fact: claim_lib.Fact) -> bool:
        """Tell whether a migration of a dead source still comes."""
        try:
            instance = objects.Instance.get_by_uuid(
                context, fact.instance_uuid
            )
            info = self._manager.driver.get_info(instance)
        except nova_exception.InstanceNotFound:
            return False
        # Until the whole guest is here, it does not run here.
        return bool(fact.gates) and info.state != power_state.RUNNING

    def _free_what_is_over(
        self,
        context: border.Context,
        known: list[str],
        facts: list[claim_lib.Fact],
    ) -> None:
        open_records = {fact.migration_uuid for fact in facts}
        for uuid in known:
            if uuid not in open_records and _is_over(context, uuid):
                LOG.info(
                    'Live migration %s is over: its slot is free again', uuid
                )
                self._gate.free(uuid)

    def _open_gate(self) -> None:
        # A manager that was stopped may start, and count, again.
        self._counting = counting.Counting(rpcapi.PEER_TIMEOUT)
        self._gate.resume(standstill.Standstill.COUNTING)

    def _ask_source(self, source: str) -> bool:
        """Ask a source for all it has; return whether it answered."""
        try:
            ask = self._api.report(
                nova_context.get_admin_context(),
                source,
                self._manager.host,
                self._gate.incarnation,
            )
        except exception.HostNotThrottled:
            # It asks nobody for a slot: its records are all there is.
            pass
        except exception.ThrottleError as error:
            LOG.warning('Source %s cannot be asked: %s', source, error)
            return False
        else:
            self._gate.hear(ask, reported=True)
        if self._counting.hear(source):
            self._open_gate()
        return True


def _gates(status: str) -> tuple[str, ...]:
    """Return the gates that a migration of this status may own a slot of."""
    if status == 'preparing':
        # Prepared and waiting for the link is still this.
        return (messages.DESTINATION,)
    return _ALL if status in _ACTIVE else ()


def _is_over(context: border.Context, migration_uuid: str) -> bool:
    try:
        found = objects.Migration.get_by_uuid(context, migration_uuid)
    except nova_exception.MigrationNotFound:
        # Purged, which Nova does to deleted servers only.
        return True
    return found.status in compat.FINAL_STATUSES
