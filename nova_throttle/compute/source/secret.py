# SPDX-License-Identifier: Apache-2.0

"""The secrets of a request that was carried over a restart.

The journal keeps none. Before the destination is told anything, the source
reads them again, as it did when the request was made; without them the
request leaves.
"""

from nova import exception as nova_exception

from nova_throttle.compute import border
from nova_throttle.compute.source import migration as migration_lib
from nova_throttle import exception

# What the driver puts into migrate_data, since Nova 34.
_VTPM = ('vtpm_secret_uuid', 'vtpm_secret_value')


def read_again(
    manager: border.Manager, migration: migration_lib.LiveMigration
) -> None:
    """Complete the migrate_data of a migration with what was not kept of it.

    :raises LostInRestart: if that is not possible.
    :raises HypervisorUnavailable: if it is not possible now.
    """
    reason: object = 'it is not known where it came from'
    try:
        if any(name in _VTPM for name in migration.unkept):
            manager.driver._add_vtpm_secret_to_live_migrate_data(
                migration.instance, migration.migrate_data
            )
    except nova_exception.HypervisorUnavailable:
        raise  # it may be read later
    except Exception as error:
        reason = error
    lacking = [name for name in migration.unkept if not _has(migration, name)]
    if lacking:
        raise exception.LostInRestart(names=', '.join(lacking), reason=reason)


def _has(migration: migration_lib.LiveMigration, name: str) -> bool:
    return name in _VTPM and getattr(migration.migrate_data, name) is not None
