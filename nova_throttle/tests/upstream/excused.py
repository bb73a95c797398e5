# SPDX-License-Identifier: Apache-2.0

"""The tests of Nova's that pass without us and need not with us.

Each looks inside what we replace, but for those that expect what we are there
to change. Those of the handler also have a migration record without an id,
which no request has. A run fails for an entry that it has no need of: if the
test is not there on that release, or passes.
"""

import dataclasses

FIRST = 26
LAST = 34

AT_ONCE = 'Expects all done, by mocks, when the handler returns; ours queues'
EXACT_EVENT = "Asserts how Nova makes the event; ours ends with the migration"
LEAKS = 'Expects ERROR and an allocation left behind; ours gives it back'
NOT_FINISHED = 'Expects that what has arrived ends in ERROR, or never; ours is'
NO_DATABASE = 'Has no database, in which ours looks whose the server is'
ON_ITS_WAY = 'Rolls back a server that is on this host, which ours refuses'
NO_DATA = 'Has sentinels for host and data, which no journal can keep'
NOVAS_POOL = "Makes Nova's pool refuse the work, which ours does not go to"
QUEUE_STAYS = 'Expects that a stop cancels the queue; ours goes on'
ONE_WAIT = 'Allows one Event.wait() in all; a thread that starts needs one too'
OTHER_HANDLER = 'Replaces the handler of the class that ours stands in for'


@dataclasses.dataclass(frozen=True)
class Excuse:
    """One test that need not pass.

    :param test: its id.
    :param reason: why, in one line.
    :param since: the first release that has it, and needs it.
    :param until: the last one.
    """

    test: str
    reason: str
    since: int = FIRST
    until: int = LAST


_LIBVIRT = 'nova.tests.functional.libvirt'
_SRIOV = f'{_LIBVIRT}.test_pci_sriov_servers.SRIOVServersTest'
_COMPUTE = 'nova.tests.unit.compute.test_compute.ComputeTestCase'
_MIGRATION = (
    'nova.tests.unit.compute.test_compute_mgr.ComputeManagerMigrationTestCase'
)

EXCUSES = (
    Excuse(
        f'{_SRIOV}.test_live_migrate_server_with_neutron',
        ONE_WAIT,
        since=31,
        until=32,
    ),
    Excuse(
        f'{_SRIOV}.test_live_migrate_VF_mixed_mode_success',
        ONE_WAIT,
        since=32,
        until=32,
    ),
    Excuse(
        f'{_SRIOV}.test_live_migrate_VF_mixed_mode_and_pip_success',
        ONE_WAIT,
        since=32,
        until=32,
    ),
    Excuse(
        'nova.tests.functional.regressions.test_bug_1628606.PostLiveMigrationFail.'
        'test_post_live_migration',
        NOT_FINISHED,
    ),
    Excuse(
        'nova.tests.functional.regressions.test_bug_2143972.PostLiveMigrationFail.'
        'test_post_live_migration_keystone_fails',
        NOT_FINISHED,
        since=29,
    ),
    Excuse(
        f'{_LIBVIRT}.test_live_migration.ManagerCleanupHostCancelsQueued'
        'Migration.test_cleanup_host_cancels_queued_live_migration',
        QUEUE_STAYS,
        since=34,
    ),
    Excuse(
        f'{_LIBVIRT}.test_numa_live_migration.NUMALiveMigrationPositiveTests.'
        'test_bug_1843639',
        OTHER_HANDLER,
    ),
    Excuse(
        'nova.tests.functional.test_servers.ConsumerGenerationConflictTest.'
        'test_live_migrate_drop_allocation_on_source_fails',
        LEAKS,
    ),
    Excuse(f'{_COMPUTE}.test_live_migration_exception_rolls_back', AT_ONCE),
    Excuse(
        f'{_COMPUTE}.test_live_migration_handles_errors_correctly', AT_ONCE
    ),
    Excuse(f'{_COMPUTE}.test_live_migration_works_correctly', EXACT_EVENT),
    Excuse(
        f'{_COMPUTE}.test_rollback_live_migration_at_destination_network_fails',
        ON_ITS_WAY,
    ),
    Excuse(
        f'{_MIGRATION}.test_rollback_live_migration_at_destination_'
        'port_binding_delete_fails',
        NO_DATABASE,
    ),
    Excuse(
        f'{_MIGRATION}.test_rollback_live_migration_at_destination_'
        'ends_pending_task',
        NO_DATABASE,
        since=34,
    ),
    Excuse(
        'nova.tests.unit.compute.test_compute_mgr.ComputeManagerUnitTestCase.'
        'test_init_instance_resets_crashed_live_migration',
        NO_DATABASE,
    ),
    Excuse(f'{_MIGRATION}.test_live_migration_submit_failed', NOVAS_POOL),
    Excuse(
        f'{_MIGRATION}.test_failure_in_task_submit_cleans_up_tracked_task',
        NOVAS_POOL,
        since=34,
    ),
    Excuse(f'{_MIGRATION}.test_max_concurrent_live_limited', NO_DATA),
    Excuse(f'{_MIGRATION}.test_max_concurrent_live_unlimited', NO_DATA),
    Excuse(
        f'{_MIGRATION}.test_live_migration_tracks_task_for_shutdown',
        NO_DATA,
        since=34,
    ),
)


def of(release: int) -> dict[str, str]:
    """Return the tests that need not pass on a release, and why."""
    return {
        excuse.test: excuse.reason
        for excuse in EXCUSES
        if excuse.since <= release <= excuse.until
    }
