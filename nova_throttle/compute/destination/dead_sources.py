# SPDX-License-Identifier: Apache-2.0


"""The destination's half, for a source that is dead.

A guest that has arrived is taken over here, and a server that was evacuated
from there does not come any more. What its migration holds is given back
here: the source may never come back, and while the record is open, Nova does
not let its service be deleted.
"""

import functools

from nova import objects
from oslo_log import log as logging

from nova_throttle.compute import action_event
from nova_throttle.compute import border
from nova_throttle.compute import present
from nova_throttle.compute import sight
from nova_throttle.compute.source import belongings
from nova_throttle.compute.source import checks
from nova_throttle.outcome import reception
from nova_throttle.outcome import words

LOG = logging.getLogger(__name__)

_OPEN = ('queued', 'preparing', *reception.IN_DRIVER)


def look(manager: border.Manager, context: border.Context) -> None:
    """Give back what migrations to this host hold that never will come."""
    found = objects.MigrationList.get_by_filters(
        context,
        {
            'host': manager.host,
            'migration_type': words.LIVE,
            'status': list(_OPEN),
        },
    )
    # The filter is for either end.
    coming = [m for m in found if m.dest_compute == manager.host]
    # One drain may have left many records of one source: ask once about it.
    gone = {
        source
        for source in {m.source_compute for m in coming}
        if checks.is_gone(context, source)
    }
    for migration in coming:
        if migration.source_compute in gone:
            _look_at(manager, context, migration)


def _look_at(
    manager: border.Manager,
    context: border.Context,
    migration: border.MigrationRecord,
) -> None:
    # One that cannot be given back must not keep the others waiting.
    try:
        standing = present.read(context, migration)
        if standing.was_evacuated:
            _give_back_of_evacuated(manager, context, standing)
        elif _has_arrived(manager, standing):
            _take_over(manager, context, standing)
    except Exception:
        LOG.warning(
            'What live migration %s holds cannot be given back now and will '
            'be tried again',
            migration.uuid,
            exc_info=True,
        )


def _give_back_of_evacuated(
    manager: border.Manager,
    context: border.Context,
    standing: present.Standing,
) -> None:
    migration = standing.migration
    # An evacuation that is not over may still leave the server where it was.
    standing.decided()
    LOG.info(
        'Live migration %(uuid)s from %(source)s, which is down, ends as '
        'error: its server was evacuated',
        {'uuid': migration.uuid, 'source': migration.source_compute},
        instance=standing.instance,
    )
    _give_back(manager, context, migration, 'error')


def _has_arrived(manager: border.Manager, standing: present.Standing) -> bool:
    """Tell whether a guest runs here that is its dead source's by record."""
    return reception.takes_over(
        standing,
        functools.partial(sight.of_guest, manager.driver, standing.instance),
    )


def _take_over(
    manager: border.Manager,
    context: border.Context,
    standing: present.Standing,
) -> None:
    """Do what the source would have done, or asked this host to do."""
    migration = standing.migration
    LOG.warning(
        'Live migration %(uuid)s: its guest has arrived here, and %(source)s '
        'is down: this host takes the server over',
        {'uuid': migration.uuid, 'source': migration.source_compute},
        instance=standing.instance,
    )
    present.read_ports(manager, standing.instance)
    # In Nova the source has the bindings activated before it tells the
    # destination, whose handler relies on it.
    manager.network_api.migrate_instance_start(
        context, standing.instance, migration
    )
    # What it was asked for with, and not what was asked for since.
    action = action_event.of_record(context, migration)
    manager.post_live_migration_at_destination(
        action_event.under(context, action), standing.instance, False
    )
    _give_back(manager, context, migration, 'completed')


def _give_back(
    manager: border.Manager,
    context: border.Context,
    migration: border.MigrationRecord,
    status: str,
) -> None:
    for step in belongings.steps(
        manager,
        context,
        migration,
        None,
        # Before each step: those before it took time.
        lambda: present.read(context, migration).decided(),
    ):
        step()
    # Last, so that a step that failed is found again.
    record = objects.Migration.get_by_uuid(context, migration.uuid)
    record.status = status
    record.save()
