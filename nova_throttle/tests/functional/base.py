# SPDX-License-Identifier: Apache-2.0

"""The ground of the functional tests: Nova's services, and our overrides.

Several compute services with the libvirt driver run in this process. A test
decides when each guest's migration call to libvirt returns, and how.
"""

import threading

import fixtures
from lxml import etree
from nova import context as nova_context
from nova import objects
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.tests.functional import integrated_helpers
from nova.tests.functional.libvirt import base as libvirt_base
from oslo_utils import timeutils
from placement import db_api
import sqlalchemy

from nova_throttle.compute import action_event
from nova_throttle.demo import neutron
from nova_throttle.demo import sqlite
from nova_throttle import fixture

# Seconds until a state that does not come fails the test. A program takes
# half a minute to start on a machine that has much else to do.
PATIENCE = 120


# A flag of libvirt's jobStats, which Nova's fake has not.
COMPLETED = 1


def preparation(manager):
    """Name the method with which a destination prepares.

    Since 34 it is behind the RPC method.
    """
    inner = '_do_pre_live_migration'
    return inner if hasattr(manager, inner) else 'pre_live_migration'


class Killed(BaseException):
    """Ends a thread of a service as kill -9 would: no handler runs."""


class Guests:
    """Decides how the migration call of each guest ends.

    Until told otherwise, the call of a guest that is held blocks. An abort
    makes it fail as libvirt's does.
    """

    def __init__(self, computes):
        self._computes = computes
        self._changed = threading.Condition()
        self._held = set()
        self._failing = set()
        self._aborted = set()
        # Migrations that go on without the nova-compute that began them.
        self.orphans = set()
        self.hold_all = False
        # Server UUIDs in the call now, and the most there ever were.
        self.running = set()
        self.most_running = 0
        # In the order of their calls.
        self.started = []
        # Aborts for which there was no job.
        self.refused = 0
        # Of each server: what libvirt shows of its job beside the type; and
        # its speed at the start, followed by each that was set.
        self.stats = {}
        self.speeds = {}
        # For how many milliseconds each guest pauses at the end; None is not
        # known.
        self.downtime = 80

    def hold(self, *servers):
        with self._changed:
            self._held.update(server['id'] for server in servers)

    def release(self, *servers):
        with self._changed:
            self._held.difference_update(server['id'] for server in servers)
            self._changed.notify_all()

    def release_all(self):
        with self._changed:
            self.hold_all = False
            self._held.clear()
            self._changed.notify_all()

    def fail(self, *servers):
        with self._changed:
            self._failing.update(server['id'] for server in servers)
            self._held.difference_update(self._failing)
            self._changed.notify_all()

    def wait_running(self, *servers):
        wanted = {server['id'] for server in servers}
        with self._changed:
            assert self._changed.wait_for(
                lambda: wanted <= self.running, PATIENCE
            ), f'only {self.running} run, not all of {wanted}'

    def migrate(self, domain, uri, params):
        """Stand in for libvirt's migrateToURI3."""
        root = etree.fromstring(params['destination_xml'])
        uuid = root.find('./uuid').text
        with self._changed:
            self.running.add(uuid)
            self.started.append(uuid)
            self.speeds[uuid] = [params['bandwidth']]
            self.most_running = max(self.most_running, len(self.running))
            self._changed.notify_all()
            # Longer than a test takes to have all where it wants them.
            self._changed.wait_for(lambda: self._may_end(uuid), 5 * PATIENCE)
            self.running.discard(uuid)
            failed = uuid in self._failing or uuid in self._aborted
            self._failing.discard(uuid)
            self._aborted.discard(uuid)
        if failed:
            raise fakelibvirt.make_libvirtError(
                fakelibvirt.libvirtError,
                'operation failed: migration out job: unexpectedly failed',
                error_code=fakelibvirt.VIR_ERR_OPERATION_FAILED,
            )
        # The part of the URI behind its scheme is the destination's name.
        host = uri.split('://')[1].split('/')[0]
        self._connection(host).createXML(params['destination_xml'], 0)
        domain.complete_job()

    def job_stats(self, domain):
        """Stand in for libvirt's jobStats."""
        if getattr(threading.current_thread(), 'is_killed', False):
            raise Killed
        uuid = domain.UUIDString()
        if uuid in self.running & (self.orphans | self.stats.keys()):
            return {
                'type': fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED,
                **self.stats.get(uuid, {}),
            }
        if domain._job_type == fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED:
            # Nova's fake of before 34 always shows a job, libvirt does not.
            return {'type': fakelibvirt.VIR_DOMAIN_JOB_NONE}
        return {'type': domain._job_type}

    def completed_stats(self, domain):
        """Stand in for libvirt's jobStats of a job that is over."""
        if self.downtime is None:
            return {'type': fakelibvirt.VIR_DOMAIN_JOB_NONE}
        return {
            'type': fakelibvirt.VIR_DOMAIN_JOB_COMPLETED,
            'downtime': self.downtime + 3600000,
            'downtime_net': self.downtime,
        }

    def abort(self, domain):
        """Stand in for libvirt's abortJob."""
        uuid = domain.UUIDString()
        with self._changed:
            if uuid not in self.running:
                self.refused += 1
                raise fakelibvirt.make_libvirtError(
                    fakelibvirt.libvirtError,
                    'Requested operation is not valid: no job is active',
                    error_code=fakelibvirt.VIR_ERR_OPERATION_INVALID,
                )
            self._aborted.add(uuid)
            self._changed.notify_all()

    def set_speed(self, domain, speed):
        """Stand in for libvirt's migrateSetMaxSpeed."""
        self.speeds.setdefault(domain.UUIDString(), []).append(speed)

    def send(self, server, processed, remaining, **stats):
        """Have libvirt show so many bytes of a guest's memory."""
        self.stats[server['id']] = {
            'memory_total': processed + remaining,
            'memory_processed': processed,
            'memory_remaining': remaining,
            'memory_iteration': 1,
            **stats,
        }

    @staticmethod
    def refuse():
        """Refuse an abort, as libvirt does in post-copy mode."""
        raise fakelibvirt.make_libvirtError(
            fakelibvirt.libvirtError,
            'cannot abort migration in post-copy mode',
            error_code=fakelibvirt.VIR_ERR_OPERATION_INVALID,
        )

    def _may_end(self, uuid):
        held = self.hold_all or uuid in self._held
        return not held or uuid in self._failing or uuid in self._aborted

    def _connection(self, host):
        return self._computes[host].driver._host.get_connection()


class ThrottleTestCase(
    libvirt_base.ServersTestBase, integrated_helpers.InstanceHelperMixin
):
    """Two hosts, ``src`` and ``dest``, with nova-throttle.

    ``limit`` is ``max_concurrent_live_migrations``; ``options`` are those
    of [nova_throttle], by which what comes in is unlimited unless they say
    otherwise. Nova is plain if it is not ``throttled``.
    """

    microversion = '2.74'
    ADMIN_API = True

    limit = 1
    throttled = True
    options: dict = {}
    hosts = ('src', 'dest')

    def setUp(self):
        self.useFixture(sqlite.PatientSqlite())
        self.useFixture(neutron.PortBindings())
        super().setUp()
        self.flags(max_concurrent_live_migrations=self.limit)
        for resource in ('instances', 'cores', 'ram'):
            self.flags(group='quota', **{resource: -1})
        if self.throttled:
            options = {'max_incoming_live_migrations': 0, **self.options}
            self.useFixture(fixture.ThrottleFixture(**options))
        for host in self.hosts:
            self.start_compute(hostname=host)
        self.src = self.computes['src']
        self.guests = Guests(self.computes)
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.migrateToURI3',
                lambda domain, uri, params, flags: self.guests.migrate(
                    domain, uri, params
                ),
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.abortJob',
                lambda domain: self.guests.abort(domain),
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.jobStats',
                lambda domain, flags=0: (
                    self.guests.completed_stats(domain)
                    if flags & COMPLETED
                    else self.guests.job_stats(domain)
                ),
            )
        )
        for name, value in (('COMPLETED', COMPLETED), ('KEEP_COMPLETED', 2)):
            self.useFixture(
                fixtures.MonkeyPatch(
                    'nova.tests.fixtures.libvirt.VIR_DOMAIN_JOB_STATS_' + name,
                    value,
                )
            )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.migrateSetMaxSpeed',
                lambda domain, speed: self.guests.set_speed(domain, speed),
            )
        )
        # Before the services stop, and while libvirt still is what it was.
        self.addCleanup(self._end_migrations)

    def _end_migrations(self):
        self.guests.release_all()
        if not self.throttled:
            self.wait_for(lambda: not self.guests.running)
            return
        for compute in self.computes.values():
            throttle = compute.manager.throttle
            self.wait_for(
                lambda t=throttle: t.closed or not t.snapshot().queue
            )
            self.wait_for(
                lambda t=throttle: (
                    not any(g.owners for g in t.snapshot().gates.values())
                )
            )
        self.settle()

    def settle(self):
        """Wait until no host has anything to tell another."""
        for compute in self.computes.values():
            manager = compute.manager
            parts = manager._parts
            talks = (
                parts.negotiation,
                parts.wait_events,
                parts.precheck,
                parts.transfer,
                manager._arrivals,
                manager._recovery,
            )
            self.wait_for(
                lambda t=talks: all(each.idle for each in t),
                lambda m=manager: f'{m.host} still talks',
            )

    def look(self, host='src'):
        """Have a host do what it does every housekeeping_interval."""
        for task in self.computes[host].manager._housekeeping.tasks:
            task.run()

    def retry(self):
        """Have the source try again at once what failed."""
        cleanup = self.src.manager._parts.cleanup
        recovery = self.src.manager._recovery
        for each in (
            *list(cleanup._departures.values()),
            *list(recovery._pending.values()),
        ):
            each.due = 0
        cleanup.retry()
        recovery.carry_on()
        self.wait_for(lambda: cleanup.idle and recovery.idle)

    @property
    def throttle(self):
        """The admission controller of the source host."""
        return self.computes['src'].manager.throttle

    def _wait_for_server_parameter(
        self, server, expected_params, max_retries=0, *args, **kwargs
    ):
        """Be patient: Nova's helpers give a server five seconds."""
        return super()._wait_for_server_parameter(
            server, expected_params, 2 * PATIENCE, *args, **kwargs
        )

    def boot(self, count=1, host='src', networks='none'):
        """Boot servers and wait until they are ACTIVE.

        Few at a time: on native threads, two locks of Nova's database
        fixtures wait for each other when many write at once.
        """
        servers = []
        while len(servers) < count:
            batch = [
                self.api.post_server(
                    {
                        'server': self._build_server(
                            host=host, networks=networks
                        )
                    }
                )
                for _ in range(min(4, count - len(servers)))
            ]
            servers += [
                self._wait_for_state_change(s, 'ACTIVE') for s in batch
            ]
        return servers

    def share_no_storage(self):
        """Have Nova delete disks, as in its own test of bug 1899835."""
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.compute.manager.ComputeManager.'
                '_live_migration_cleanup_flags',
                lambda *args, **kwargs: (True, True),
            )
        )

    def attach_volume(self, server, volume_id):
        """Attach a volume; a test has a CinderFixture to look at it."""
        self.api.post_server_volume(
            server['id'], {'volumeAttachment': {'volumeId': volume_id}}
        )

    def migrate(self, *servers, host='dest'):
        """Ask for live migrations and wait until the source has them all."""
        for server in servers:
            self.ask_for_migration(server, host)
        for server in servers:
            self.wait_status(server, 'queued', 'preparing', 'running')

    def ask_for_migration(self, server, host='dest'):
        """Ask for a live migration; returns when its RPC handler does."""
        self.api.post_server_action(
            server['id'],
            {'os-migrateLive': {'host': host, 'block_migration': 'auto'}},
        )

    def migration(self, server):
        """Return the newest migration record of a server."""
        return max(self.migrations(server), key=lambda found: found.id)

    def migrations(self, server):
        """Return all migration records of a server."""
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            return objects.MigrationList.get_by_filters(
                cell_context, {'instance_uuid': server['id']}
            )

    def context_of(self, server):
        """Return the request context of a server's newest migration."""
        return self.src.manager._parts.migrations.of_instance(
            server['id']
        ).context

    def instance(self, server):
        """Return the instance object of a server in migration."""
        return self.src.manager._parts.migrations.of_instance(
            server['id']
        ).instance

    @property
    def cell(self):
        return self.host_mappings['src'].cell_mapping

    def status(self, server):
        return self.migration(server).status

    def wait_status(self, server, *statuses):
        self.wait_for(
            lambda: self.status(server) in statuses,
            lambda: f'{self.status(server)} is none of {statuses}',
        )

    def wait_for(self, condition, what=lambda: 'the state did not come'):
        """Wait until a condition holds that no event tells of."""
        tick = threading.Event()
        for _ in range(PATIENCE * 20):
            if condition():
                return
            tick.wait(0.05)
        self.fail(what())

    def begin_to_stop(self, host='src'):
        """Have a host do what Nova does first when it has to stop."""
        manager = self.computes[host].manager
        # Before 34, all is done in one step.
        getattr(manager, 'set_shutdown_in_progress', manager.cleanup_host)()

    def in_background(self, func, *args):
        """Call a function that blocks until the test goes on."""
        thread = threading.Thread(target=func, args=args, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        return thread

    def abort(self, server):
        self.api.api_delete(
            f'/servers/{server["id"]}/migrations/{self.migration(server).id}'
        )

    def assert_on(self, server, host):
        """Check that a server is ACTIVE on a host and at rest."""
        found = self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(host, found['OS-EXT-SRV-ATTR:host'])
        self.assertIsNone(found['OS-EXT-STS:task_state'])

    def allocations(self, uuid):
        found = self.placement.get(f'/allocations/{uuid}').body
        names = {uuid: name for name, uuid in self.compute_rp_uuids.items()}
        return sorted(names[provider] for provider in found['allocations'])

    def orphan(self, server):
        """Leave what a Placement leaves that was killed while it wrote."""
        uuid = server['id']
        with db_api.get_placement_engine().begin() as db:
            for statement in (
                'DELETE FROM allocations WHERE consumer_id = :uuid',
                'UPDATE consumers SET generation = 0 WHERE uuid = :uuid',
            ):
                db.execute(sqlalchemy.text(statement), {'uuid': uuid})
        self.assertEqual([], self.allocations(uuid))

    def assert_left(self, server, status, host='src', event=True):
        """Check that a request left and nothing is held for it (R10)."""
        self.wait_status(server, status)
        self.assert_on(server, host)
        self.assertEqual([host], self.allocations(server['id']))
        migration = self.migration(server)
        self.assertEqual([], self.allocations(migration.uuid))
        self.wait_for(lambda: migration.uuid not in self.owners())
        self.assert_bound(server, host)
        waiting = self.src.manager._waiting_live_migrations
        self.wait_for(lambda: server['id'] not in waiting)
        self.wait_for(lambda: self._journaled(server) is None)
        if event:
            self.wait_for(lambda: self._event(server) is not None)
            self.assert_events_end(server)

    def list_port_bindings(self, port_id):
        """Answer as Neutron does; Nova's fixture cannot."""
        return {
            'bindings': list(self.neutron._port_bindings[port_id].values())
        }

    def bindings_of(self, server):
        """Return the hosts to which the only port of a server is bound."""
        (port,) = (
            port['id']
            for port in self.neutron._ports.values()
            if port.get('device_id') == server['id']
        )
        return sorted(self.neutron._port_bindings[port])

    def assert_bound(self, server, host):
        """Check that the ports of a server are bound to one host only."""
        for port in self.neutron._ports.values():
            if port.get('device_id') == server['id']:
                bindings = self.neutron._port_bindings[port['id']]
                self.wait_for(
                    lambda b=bindings: list(b) == [host],
                    lambda b=bindings: f'bound to {list(b)}, not {host}',
                )

    def _journaled(self, server):
        return self.src.manager._parts.journal.get(self.migration(server).uuid)

    def owners(self):
        return self.throttle.snapshot().gates['source'].owners

    def action_events(self, server):
        """Yield the events of each live migration, the newest first."""
        for action in self.api.get_instance_actions(server['id']):
            if action['action'] == 'live-migration':
                details = self.api.api_get(
                    f'/servers/{server["id"]}/os-instance-actions/'
                    f'{action["request_id"]}'
                ).body['instanceAction']
                yield details['events']

    def clock_ahead(self, seconds):
        """Have all that is looked at be older by so many seconds."""
        original = timeutils.is_older_than

        def is_older(before, age):
            return original(before, age - seconds)

        return fixtures.MonkeyPatch(
            'oslo_utils.timeutils.is_older_than', is_older
        )

    def open_event(self, server):
        """Open an event of the newest live migration, and be killed."""
        record = self.migration(server)
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            action = action_event.of_record(cell_context, record)
            objects.InstanceActionEvent.event_start(
                action_event.under(cell_context, action),
                server['id'],
                'conductor_migrate_server',
                want_result=False,
                host='ctl',
            )

    def assert_events_end(self, server):
        """Check that nothing of the newest live migration stays open."""
        self.wait_for(
            lambda: not self.open_events(server),
            lambda: f'open: {self.open_events(server)}',
        )

    def open_events(self, server):
        """Return what has no end of the newest live migration."""
        events = next(self.action_events(server))
        return [e['event'] for e in events if not e['finish_time']]

    def _event(self, server):
        """Return the result of the newest live-migration event."""
        for event in next(self.action_events(server), ()):
            if event['event'] == 'compute_live_migration':
                return event['result']
        return None
