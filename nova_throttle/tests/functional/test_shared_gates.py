# SPDX-License-Identifier: Apache-2.0

"""Gates of the cloud: three hosts, two gates, and a real Placement."""

import collections
import contextlib
import io
import threading

import fixtures
from nova.cmd import manage
from nova import context as nova_context
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_throttle.compute import placement
from nova_throttle.placement import editor as editor_lib
from nova_throttle.placement import names
from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import test_recovery


class Wire(fixtures.Fixture):
    """What goes to Placement about our gates: counted, and made to fail."""

    def __init__(self, adapter):
        self._adapter = adapter
        self.writes = collections.Counter()
        self.is_down = threading.Event()
        # While it is set, no answer to a claim arrives, though it is done.
        self.loses = threading.Event()
        # A context in which the next claim is carried out.
        self.around_claim = None
        # Whether what is not about our gates fails as well.
        self.takes_all = False

    def _setUp(self):
        for verb in ('get', 'put', 'post', 'delete'):
            self._wrap(verb)

    def _wrap(self, verb):
        real = getattr(self._adapter, verb)

        def call(url, **kwargs):
            consumer = url.removeprefix('/allocations/')
            ours = consumer != url and consumer[14:15] == '8'
            is_about_gates = ours or names.TRAIT in url or 'usages' in url
            is_hit = is_about_gates or self.takes_all
            if is_hit and self.is_down.is_set():
                raise OSError
            if ours and verb != 'get':
                self.writes[verb] += 1
            around = contextlib.nullcontext()
            if ours and verb == 'put' and self.around_claim:
                around, self.around_claim = self.around_claim, None
            with around:
                response = real(url, **kwargs)
            if ours and verb == 'put' and self.loses.is_set():
                raise OSError
            return response

        self.useFixture(fixtures.MockPatchObject(self._adapter, verb, call))


class SharedGatesTestCase(test_recovery.RestartTestCase):
    limit = 4
    hosts = ('src', 'dest', 'third')

    def setUp(self):
        super().setUp()
        self.store = placement.connect()
        self.editor = editor_lib.Editor(self.store)

    def _end_migrations(self):
        # What hosts know of owners of others is as old as their last look.
        self.guests.release_all()
        self.wait_for(lambda: not any(self.held().values()))
        self.look_at_gates()
        super()._end_migrations()

    def create(self, name, limit, hosts=('*',)):
        self.editor.create(name, limit, hosts)
        self.look_at_gates()
        return self.editor.find(name)

    def look_at_gates(self):
        for compute in self.computes.values():
            compute.manager._parts.negotiation.shared.hint([], changed=True)
        self.settle()

    def wire(self):
        return self.useFixture(Wire(self.placement.fixture._client))

    def held(self):
        """Return the owners of each gate, as Placement has them."""
        return {
            gate.name: self.store.state(gate).owners
            for gate in self.store.gates()
        }

    def uuid(self, server):
        return self.migration(server).uuid

    def waits_of(self, server, host='src'):
        snapshot = self.computes[host].manager.throttle.snapshot()
        for entry in snapshot.queue:
            if entry.migration_uuid == self.uuid(server):
                return [str(wait) for wait in entry.waits_for]
        return None

    def wait_waits(self, server, *expected, host='src'):
        self.wait_for(
            lambda: self.waits_of(server, host) == list(expected),
            lambda: f'{self.waits_of(server, host)}',
        )


class ClusterTestCase(SharedGatesTestCase):
    def test_a_limit_of_the_whole_cloud(self):
        """It counts what other hosts send, and hands over between them."""
        self.create('cluster', 2)
        a, b = self.boot(2)
        (c,) = self.boot(1, host='third')
        self.guests.hold(a, b, c)
        self.migrate(a)
        self.guests.wait_running(a)
        self.migrate(c)
        self.guests.wait_running(c)
        self.migrate(b)
        self.wait_waits(b, 'gate full: cluster (2 of 2 in progress)')
        self.assertEqual('queued', self.status(b))
        gate = self.throttle.snapshot().gates['cluster']
        self.assertEqual(2, gate.limit)
        self.assertCountEqual((self.uuid(a), self.uuid(c)), gate.owners)
        # It holds nothing meanwhile, neither here nor there.
        into = self.computes['dest'].manager.throttle.snapshot()
        self.assertNotIn(
            self.uuid(b),
            (*into.gates['destination'].owners, *self.owners()),
        )
        self.wait_for(
            lambda: any(
                event['event'] == 'nova_throttle_wait_cluster'
                for events in self.action_events(b)
                for event in events
            )
        )
        self.guests.release(c)
        self.guests.wait_running(b)
        self.guests.release(a, b)
        for server in (a, b, c):
            self.wait_status(server, 'completed')
        self.wait_for(lambda: self.held() == {'cluster': ()})
        self.assertEqual(2, self.guests.most_running)

    def test_all_gates_or_none(self):
        """What one gate keeps waiting does not have a slot of another."""
        self.create('cluster', 2)
        self.create('rack', 1, ['third'])
        a, b, c = self.boot(3)
        self.guests.hold(a, b, c)
        self.migrate(a, host='third')
        self.guests.wait_running(a)
        self.migrate(b, host='third')
        self.wait_waits(b, 'gate full: rack (1 of 1 in progress)')
        self.assertEqual(
            {'cluster': (self.uuid(a),), 'rack': (self.uuid(a),)},
            self.held(),
        )
        # What does not need that gate goes on.
        self.migrate(c)
        self.guests.wait_running(c)
        self.guests.release(a, c)
        self.guests.wait_running(b)

    def test_cost_of_one_migration(self):
        """Two writes: one that takes slots of all gates, one that frees."""
        self.create('cluster', 2)
        self.create('rack', 1)
        wire = self.wire()
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: not any(self.held().values()))
        self.assertEqual({'put': 1, 'delete': 1}, dict(wire.writes))

    def test_no_gate_costs_no_write(self):
        self.create('rack', 1, ['elsewhere'])
        wire = self.wire()
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_status(a, 'completed')
        self.assertEqual({}, dict(wire.writes))

    def test_a_gate_that_is_paused_and_one_that_is_deleted(self):
        gate = self.create('cluster', 2)
        self.editor.pause(gate)
        self.look_at_gates()
        (a,) = self.boot(1)
        self.guests.hold(a)
        self.migrate(a)
        self.wait_waits(a, 'gate paused: cluster (0 of 2 in progress)')
        self.editor.delete(gate)
        self.look_at_gates()
        self.guests.wait_running(a)
        self.assertNotIn('cluster', self.throttle.snapshot().gates)

    def test_abort_while_it_waits(self):
        gate = self.create('cluster', 1)
        self.editor.pause(gate)
        self.look_at_gates()
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_waits(a, 'gate paused: cluster (0 of 1 in progress)')
        self.abort(a)
        self.assert_left(a, 'cancelled')
        self.assertEqual({'cluster': ()}, self.held())

    def test_a_limit_that_is_raised(self):
        gate = self.create('cluster', 1)
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a, b)
        self.wait_for(lambda: self.guests.running)
        self.editor.set_limit(gate, 2)
        self.look_at_gates()
        self.guests.wait_running(a, b)


class FaultsTestCase(SharedGatesTestCase):
    def test_placement_is_away_and_comes_back(self):
        self.create('cluster', 1)
        wire = self.wire()
        a, b = self.boot(2)
        self.guests.hold(a, b)
        wire.is_down.set()
        self.migrate(a)
        self.wait_waits(a, 'Placement does not answer: cluster')
        self.assertEqual('queued', self.status(a))
        wire.is_down.clear()
        self.guests.wait_running(a)
        # It is freed however long that takes.
        wire.is_down.set()
        self.guests.release(a)
        self.wait_status(a, 'completed')
        self.wait_for(lambda: not self.owners())
        self.migrate(b)
        wire.is_down.clear()
        self.guests.wait_running(b)
        self.assertEqual({'cluster': (self.uuid(b),)}, self.held())

    def test_placement_is_away_and_nobody_waits_for_it(self):
        self.create('cluster', 1)
        self.flags(gate_unreachable='start', group='nova_throttle')
        wire = self.wire()
        wire.is_down.set()
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a, b)
        self.guests.wait_running(a, b)
        wire.is_down.clear()

    def test_an_answer_is_lost(self):
        self.create('cluster', 1)
        wire = self.wire()
        (a,) = self.boot(1)
        self.guests.hold(a)
        wire.loses.set()
        self.migrate(a)
        self.wait_waits(a, 'Placement does not answer: cluster')
        wire.loses.clear()
        self.guests.wait_running(a)
        self.assertEqual({'cluster': (self.uuid(a),)}, self.held())

    def test_placement_gives_more_slots_than_a_gate_has(self):
        """As on MySQL, where it does not see who claimed a moment before."""
        gate = self.create('cluster', 1)
        (a,) = self.boot(1)
        (b,) = self.boot(1, host='third')
        self.guests.hold(a, b)

        @contextlib.contextmanager
        def race():
            self.migrate(a)
            self.guests.wait_running(a)
            self.editor.set_limit(gate, 2)
            yield
            self.editor.set_limit(gate, 1)

        self.wire().around_claim = race()
        self.migrate(b)
        self.wait_waits(
            b, 'gate full: cluster (1 of 1 in progress)', host='third'
        )
        self.assertEqual({'cluster': (self.uuid(a),)}, self.held())
        self.guests.release(a)
        self.guests.wait_running(b)
        self.assertEqual(1, self.guests.most_running)

    def test_killed_while_one_runs(self):
        """What still runs keeps its slot; what is over gives it back."""
        self.create('cluster', 1)
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.migrate(b)
        self.wait_waits(b, 'gate full: cluster (1 of 1 in progress)')
        # Claimed and not used, in a life that ended.
        gate = self.editor.find('cluster')
        self.kill()
        self.editor.set_limit(gate, 2)
        self.assertTrue(self.store.claim(self.uuid(b), 'src', [gate]))
        self.editor.set_limit(gate, 1)
        self.start_again()
        self.wait_for(lambda: self.held() == {'cluster': (self.uuid(a),)})
        self.guests.release(a)
        self.guests.wait_running(b)
        self.assertEqual({'cluster': (self.uuid(b),)}, self.held())
        self.guests.release(b)
        self.assert_moved(b)

    def test_killed_while_one_prepares(self):
        """Restored to the queue, it gives its slot back at once."""
        gate = self.create('cluster', 1)
        (a,) = self.boot(1)
        dest = self.computes['dest'].manager
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        method = base.preparation(dest)
        real = getattr(dest, method)

        def hang(*args, **kwargs):
            begun.set()
            go_on.wait(base.PATIENCE)
            return real(*args, **kwargs)

        self.useFixture(fixtures.MockPatchObject(dest, method, hang))
        self.migrate(a)
        begun.wait(base.PATIENCE)
        self.assertEqual({'cluster': (self.uuid(a),)}, self.held())
        self.kill()
        self.editor.pause(gate)
        go_on.set()
        self.start_again()
        self.wait_for(lambda: self.held() == {'cluster': ()})
        self.editor.proceed(gate)
        self.look_at_gates()
        self.assert_moved(a)

    def test_slots_of_a_host_that_is_dead(self):
        """Any host that waits frees what Nova's record says is over."""
        gate = self.create('cluster', 1)
        self.set_status(uuids.dead, 'running')
        self.store.claim(uuids.dead, 'dead', [gate])
        (a,) = self.boot(1)
        self.migrate(a)
        self.wait_waits(a, 'gate full: cluster (1 of 1 in progress)')
        shared = self.src.manager._parts.negotiation.shared
        for status in ('running', 'error'):
            self.set_status(uuids.dead, status)
            shared.look(nova_context.get_admin_context())
            self.settle()
            self.assertEqual({'cluster': (uuids.dead,)}, self.held())
        shared.look(nova_context.get_admin_context())
        self.wait_status(a, 'completed')
        self.wait_for(lambda: self.held() == {'cluster': ()})

    def set_status(self, uuid, status):
        """Make, or change, the record of a host that is not there."""
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            try:
                found = objects.Migration.get_by_uuid(cell_context, uuid)
                found.status = status
                found.save()
            except exception.MigrationNotFound:
                objects.Migration(
                    cell_context,
                    uuid=uuid,
                    status=status,
                    migration_type='live-migration',
                    source_compute='dead',
                    source_node='dead',
                ).create()


class NeighboursTestCase(SharedGatesTestCase):
    """Nova leaves what is ours alone, and we what is Nova's."""

    def test_neighbours(self):
        self.create('cluster', 2)
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        before, hosts = self.held(), self.allocations(self.uuid(a))
        self.assertEqual({'cluster': (self.uuid(a),)}, before)
        commands = manage.PlacementCommands()
        with fixtures.MonkeyPatch('sys.stdout', io.StringIO()):
            commands.audit(verbose=True, delete=True)
            commands.heal_allocations(verbose=True)
        self._run_periodics()
        self.assertEqual(before, self.held())
        self.assertEqual(hosts, self.allocations(self.uuid(a)))
        # The scheduler still finds hosts, and no gate among them.
        (c,) = self.boot(1, host=None)
        self.assertIn(
            self.api.get_server(c['id'])['OS-EXT-SRV-ATTR:host'], self.hosts
        )
        self.assertEqual(
            [gate.name for gate in self.store.gates()], ['cluster']
        )


class OutageTestCase(SharedGatesTestCase):
    # It looks when it is told to.
    options = {'housekeeping_interval': 3600}

    def test_placement_away_for_long_is_told_once(self):
        """It was, every five seconds, by each look that needs Placement."""
        self.create('cluster', 1)
        wire = self.wire()
        wire.takes_all = True
        wire.is_down.set()
        for _ in range(3):
            self.look('src')
        wire.is_down.clear()
        self.look('src')
        log = self.stdlog.logger
        self.wait_for(lambda: 'Placement answers again' in log.output)
        for told in (
            'Periodic task refused of nova-throttle failed',
            'Periodic task refused of nova-throttle works again',
            'live migrations that a gate of the cloud limits wait',
            'Placement answers again',
        ):
            self.assertEqual(1, log.output.count(told), told)
