# SPDX-License-Identifier: Apache-2.0

"""What of Nova's crosses our border, by name.

Nova has no types. Each of these is any object to a type checker, and to a
reader what it is: of which class, or what it has to have.
"""

from typing import Any
from typing import TypeAlias

# nova.compute.manager.ComputeManager, ours or Nova's.
Manager: TypeAlias = Any
# nova.virt.driver.ComputeDriver.
Driver: TypeAlias = Any
# nova.context.RequestContext.
Context: TypeAlias = Any
# nova.objects.Instance.
Instance: TypeAlias = Any
# nova.objects.Migration: the record, in the database.
MigrationRecord: TypeAlias = Any
# nova.objects.LiveMigrateData: what destination and source tell each other.
MigrateData: TypeAlias = Any
# nova.objects.BlockDeviceMappingList.
BlockDevices: TypeAlias = Any
# nova.scheduler.client.report.SchedulerReportClient: Placement.
ReportClient: TypeAlias = Any
# What an API user or the conductor says of disks: a bool, or None.
BlockMigration: TypeAlias = Any
