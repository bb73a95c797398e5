# SPDX-License-Identifier: Apache-2.0

"""A source host in a real Nova, with a queue that a measurement controls.

Nova's services run in this process. What a migration does is replaced, the
same for both sides, by a stage that holds it and notes its instants; who may
enter the stage, and when, is up to the side that is measured.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
import time
from typing import Any
import unittest
from unittest import mock

import fixtures
from nova.compute import rpcapi
from nova.compute import task_states
from nova.compute import vm_states
from nova import context as nova_context
from nova import objects
from nova.tests.functional.libvirt import base as libvirt_base
from oslo_utils import uuidutils

from nova_throttle.compute import sight
from nova_throttle.demo import sqlite
from nova_throttle import fixture

# Seconds until a state that does not come ends the measurement.
PATIENCE = 120

# Seconds between two looks of a server at its queue of messages. The
# transport of Nova's tests has 50 ms, which would be most of what is measured.
POLL = 0.005


class Stage:
    """What every migration does: begin, wait for the curtain, work, end.

    :param seconds: how long the work takes once the curtain is up.
    """

    def __init__(self, seconds: float = 0) -> None:
        self.begun: list[float] = []
        self.ended: list[float] = []
        self._seconds = seconds
        self.curtain = threading.Event()

    def work(self, *args: Any) -> None:
        self.begun.append(time.perf_counter())
        self.curtain.wait(PATIENCE)
        time.sleep(self._seconds)
        self.ended.append(time.perf_counter())

    def open(self) -> None:
        self.curtain.set()


class _Clock:
    """The clock of the transport, which looks more often for messages."""

    time = staticmethod(time.time)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, POLL))


class Cloud(libvirt_base.ServersTestBase):
    """One source host that admits one migration at a time.

    :param ours: whether it runs nova-throttle.
    :param measure: called with this cloud once it is up.
    """

    def __init__(self, ours: bool, measure: Callable[['Cloud'], None]) -> None:
        super().__init__('runTest')
        self._ours = ours
        self._measure = measure

    def setUp(self) -> None:
        self.useFixture(sqlite.PatientSqlite())
        self.useFixture(
            fixtures.MonkeyPatch(
                'oslo_messaging._drivers.impl_fake.time', _Clock()
            )
        )
        super().setUp()
        # There are records only.
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.sight.of_guest',
                lambda driver, instance: sight.Sight.RUNS,
            )
        )
        self._start_hosts()
        self.manager = self.computes['src'].manager
        self._rpcapi = rpcapi.ComputeAPI()
        self._client = self.manager.reportclient

    def _start_hosts(self) -> None:
        self.flags(max_concurrent_live_migrations=1)
        # Looked at before a request that waited starts. It is plain on both
        # sides: there is no limit on what comes in to compare ours with.
        self.start_compute(hostname='dest')
        if self._ours:
            self.useFixture(fixture.ThrottleFixture())
        self.start_compute(hostname='src')

    def runTest(self) -> None:
        self._measure(self)

    @contextlib.contextmanager
    def queue(self, stage: Stage) -> Iterator[None]:
        """Hold one migration on a stage; at the end, let all run."""
        with mock.patch.object(self.manager, '_do_live_migration', stage.work):
            self.ask(self.request())
            self._wait_for(lambda: stage.begun)
            yield
            stage.open()
            self._wait_for(lambda: not self.manager._in_progress_tasks)

    def request(self, source: str = 'src') -> dict[str, Any]:
        """Make a request, with the records that it needs."""
        context = nova_context.RequestContext('user', 'project', is_admin=True)
        cell = self.host_mappings['src'].cell_mapping
        with nova_context.target_cell(context, cell) as cell_context:
            arguments = make_arguments(cell_context, source)
            arguments['instance'].create()
            arguments['migration'].create()
            objects.InstanceAction.action_start(
                cell_context, arguments['instance'].uuid, 'live-migration'
            )
            self._allocate(cell_context, arguments, source)
        return {'ctxt': context, **arguments}

    def _allocate(
        self, context: Any, arguments: dict[str, Any], source: str
    ) -> None:
        """Put into Placement what the scheduler and the conductor put there.

        A request whose allocations are lost would have them made again.
        """
        holders = {
            source: arguments['migration'].uuid,
            'dest': arguments['instance'].uuid,
        }
        for host, consumer in holders.items():
            node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
                context, host
            )
            resources = {node.uuid: {'resources': {'MEMORY_MB': 1}}}
            self._client.put_allocations(
                context,
                consumer,
                {
                    'allocations': resources,
                    'project_id': context.project_id,
                    'user_id': context.user_id,
                    'consumer_generation': None,
                },
            )

    def ask(self, request: dict[str, Any], source: str = 'src') -> None:
        """Send a request to the source, as the conductor does."""
        self._rpcapi.live_migration(host=source, **request)

    @contextlib.contextmanager
    def timed(self) -> Iterator[list[float]]:
        """Take the seconds of each call as the RPC server makes it."""
        taken: list[float] = []
        service = self.computes['src']
        with contextlib.ExitStack() as patches:
            for server in (service.rpcserver, service.rpcserver_alt):
                endpoint = server.dispatcher.endpoints[0]
                call = _timed(endpoint.live_migration, taken)
                patches.enter_context(
                    mock.patch.object(endpoint, 'live_migration', call)
                )
            yield taken

    def settle(self) -> None:
        """Wait until ours has nothing to tell to anybody."""
        parts = getattr(self.manager, '_parts', None)
        if parts is not None:
            self._wait_for(
                lambda: parts.negotiation.idle and parts.wait_events.idle
            )

    def _wait_for(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                self.fail('The queue does not move')
            time.sleep(0.01)


def make_arguments(context: Any, source: str = 'src') -> dict[str, Any]:
    """Make the arguments of one live migration, not saved."""
    instance = objects.Instance(
        context,
        uuid=uuidutils.generate_uuid(),
        user_id=context.user_id,
        project_id=context.project_id,
        host=source,
        vm_state=vm_states.ACTIVE,
        task_state=task_states.MIGRATING,
    )
    migration = objects.Migration(
        context,
        uuid=uuidutils.generate_uuid(),
        instance_uuid=instance.uuid,
        migration_type='live-migration',
        source_compute=source,
        dest_compute='dest',
        status='accepted',
    )
    return {
        'instance': instance,
        'dest': 'dest',
        'block_migration': False,
        'migration': migration,
        'migrate_data': objects.LibvirtLiveMigrateData(),
    }


def run(
    ours: bool, measure: Callable[[Any], Any], kind: type[Cloud] = Cloud
) -> Any:
    """Return what a measurement found in a cloud of its own.

    :param kind: of the cloud.

    :raises RuntimeError: if it failed.
    """
    # Not on the test case: it deletes its attributes when it ends.
    found: list[Any] = []
    result = unittest.TestResult()
    kind(ours, lambda cloud: found.append(measure(cloud))).run(result)
    for _, trace in result.errors + result.failures:
        raise RuntimeError(trace)
    return found[0]


def _timed(
    function: Callable[..., Any], taken: list[float]
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            taken.append(time.perf_counter() - start)

    return call
