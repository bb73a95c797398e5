# SPDX-License-Identifier: Apache-2.0

"""What an operator does with the queue of a host, and that it lasts."""

import fixtures
from oslo_serialization import jsonutils
from oslo_utils.fixture import uuidsentinel as uuids

from nova_throttle.tests.functional import test_recovery
from nova_throttle.tests import shell


class QueueTestCase(test_recovery.RestartTestCase):
    """The shell runs in this process and talks over Nova's own bus."""

    def setUp(self):
        super().setUp()
        # Of this process, and connected already.
        self.useFixture(fixtures.MockPatch('nova_throttle.cmd.bus.connect'))
        self.useFixture(
            fixtures.MockPatch(
                'nova_throttle.cmd.bus.getpass.getuser', return_value='root'
            )
        )

    def read(self, *words):
        """Run a command that works; return its rows."""
        status, out, err = shell.run(*words, '-f', 'json')
        self.assertEqual(0, status, err)
        return jsonutils.loads(out)

    def change(self, command, server, *words):
        return self.read('queue', command, self.migration(server).uuid, *words)

    def assert_fails(self, expected, *words):
        status, _, err = shell.run(*words)
        self.assertEqual(1, status)
        (line,) = err.splitlines()
        self.assertIn(expected, line)

    def assert_audited(self, what):
        """Check that it is said who has changed something, and how."""
        (line,) = (
            line
            for line in self.stdlog.logger.output.splitlines()
            if f'{what} (request req-' in line
        )
        self.assertRegex(line, r'\(request req-\S+, user root@\S+\)')

    def queue(self):
        return [
            entry.instance_uuid for entry in self.throttle.snapshot().queue
        ]

    def assert_queue(self, *servers):
        self.wait_for(
            lambda: self.queue() == [s['id'] for s in servers],
            lambda: f'the queue is {self.queue()}',
        )

    def fill(self, count):
        """Have one migration that runs, and others that are queued."""
        servers = self.boot(count)
        self.guests.hold(*servers)
        for server in servers:
            self.migrate(server)
            self.guests.wait_running(servers[0])
        self.wait_status(servers[0], 'running')
        return servers

    def disable(self, host):
        (service,) = self.api.get_services(host=host, binary='nova-compute')
        self.api.put_service(service['id'], {'status': 'disabled'})


class PriorityTestCase(QueueTestCase):
    def test_classes_order_the_queue_also_after_a_kill(self):
        a, b, c, d = self.fill(4)
        self.change('set', c, '--priority', 'background')
        self.change('set', d, '--priority', 'drain')
        self.assert_audited(
            f'the priority of live migration {self.migration(d).uuid} was '
            'changed from normal to drain'
        )
        self.assert_queue(d, b, c)
        self.kill_and_start()
        self.assert_queue(d, b, c)
        rows = self.read('queue', 'list', 'src')
        self.assertEqual(
            ['drain', 'normal', 'background'],
            [row['Priority'] for row in rows],
        )
        self.guests.release_all()
        for server in (b, c, d):
            self.assert_moved(server)
        self.assertEqual([s['id'] for s in (d, b, c)], self.guests.started[1:])

    def test_what_leaves_a_disabled_host_is_a_drain(self):
        a, b = self.fill(2)
        (c,) = self.boot(1)
        self.guests.hold(c)
        self.disable('src')
        self.migrate(c)
        self.assert_queue(c, b)
        first, second = self.read('queue', 'list', 'src')
        self.assertEqual(
            ('drain', 'normal'), (first['Priority'], second['Priority'])
        )

    def test_a_promoted_one_is_next_also_after_a_kill(self):
        a, b, c, d = self.fill(4)
        self.change('set', c, '--priority', 'drain')
        rows = self.change('promote', d, '--host', 'src')
        self.assertEqual('promoted', rows[0]['Priority'])
        self.assert_queue(d, c, b)
        self.kill_and_start()
        self.assert_queue(d, c, b)
        self.change('set', d, '--priority', 'normal')
        self.assert_queue(c, b, d)

    def test_the_destination_has_it_first_as_well(self):
        self.flags(group='nova_throttle', max_incoming_live_migrations=1)
        self.computes['dest'].manager.reset()
        self.read('limit', 'set', 'src', 3)
        a, b, c = self.fill(3)
        self.change('promote', c)
        self.guests.release(a)
        self.guests.wait_running(c)
        self.assertEqual('queued', self.status(b))


class HoldTestCase(QueueTestCase):
    def test_is_passed_over_until_released_also_after_a_kill(self):
        a, b, c = self.fill(3)
        first, _ = self.change('hold', b)
        self.assertEqual(
            ['held by an operator', 'gate full'],
            [wait['reason'] for wait in first['Waits For']],
        )
        uuid = self.migration(b).uuid
        self.assert_audited(f'live migration {uuid} was held')
        self.kill_and_start()
        self.assert_queue(b, c)
        self.guests.release(a)
        self.guests.wait_running(c)
        self.assert_queue(b)
        self.change('release', b)
        self.assert_audited(f'live migration {uuid} was released')
        self.kill_and_start()
        self.assert_queue(b)
        self.guests.release_all()
        self.assert_moved(b)

    def test_can_be_aborted(self):
        a, b = self.fill(2)
        self.change('hold', b)
        self.abort(b)
        self.assert_left(b, 'cancelled')

    def test_what_runs_is_not_held(self):
        (a,) = self.fill(1)
        found = self.migration(a)
        self.assert_fails(
            f'{found.uuid} is transferring, not queued; to end it: '
            f'openstack server migration abort {a["id"]} {found.id}',
            *('queue', 'hold', found.uuid),
        )

    def test_a_migration_that_nobody_has(self):
        self.assert_fails(
            f'there is no migration {uuids.nobody} in this cell',
            *('queue', 'hold', uuids.nobody),
        )
        self.assert_fails(
            f'host dest has no live migration {uuids.nobody}',
            *('queue', 'hold', uuids.nobody, '--host', 'dest'),
        )


class PauseTestCase(QueueTestCase):
    def test_nothing_leaves_until_it_is_resumed(self):
        """Not even after a stop, a kill, or both."""
        a, b = self.fill(2)
        self.read('queue', 'pause', 'src', '--reason', 'new switch')
        self.assert_audited('the queue was paused: new switch')
        self.guests.release(a)
        self.assert_moved(a)
        (c,) = self.boot(1)
        self.migrate(c)
        self.restart()
        self.kill_and_start()
        self.assert_queue(b, c)
        self.assert_paused('new switch')
        self.assertEqual([a['id']], self.guests.started)
        self.read('queue', 'resume', 'src')
        self.assert_audited('the queue was resumed')
        self.guests.release_all()
        self.assert_moved(b)
        self.assert_moved(c)
        self.kill_and_start()
        gate, *_ = self.read('gate', 'list', 'src')
        self.assertIsNone(gate['Paused'])

    def assert_paused(self, reason):
        gate, *others = self.read('gate', 'list', 'src')
        self.assertEqual(reason, gate['Paused']['reason'])
        self.assertEqual([None] * len(others), [g['Paused'] for g in others])
        status, out, err = shell.run('queue', 'list', 'src')
        self.assertEqual(0, status)
        self.assertIn('queue is paused', out)
        metrics = self.src.manager._monitoring.text()
        self.assertIn('nova_throttle_queue_paused{host="src"} 1.0', metrics)
        (line,) = err.splitlines()
        self.assertRegex(line, rf'of src is paused since \S+ by .*: {reason}$')

    def test_what_comes_is_not_paused(self):
        (a,) = self.boot(1, host='dest')
        self.read('queue', 'pause', 'src')
        self.migrate(a, host='src')
        self.wait_status(a, 'completed')
        self.assert_on(a, 'src')


class CancelTestCase(QueueTestCase):
    def test_leaves_as_if_it_were_aborted(self):
        a, b, c = self.fill(3)
        uuids = [self.migration(server).uuid for server in (b, c)]
        rows = self.read('queue', 'cancel', *uuids)
        self.assertEqual(
            [{'Migration': uuid, 'Result': 'cancelled'} for uuid in uuids],
            rows,
        )
        for server in (b, c):
            self.assert_left(server, 'cancelled')
            self.assertEqual('Error', self._event(server))
            uuid = self.migration(server).uuid
            self.assert_audited(f'live migration {uuid} was cancelled')
            newest, *_ = self.api.get_instance_actions(server['id'])
            self.assertEqual('live_migration_cancel', newest['action'])
        self.kill_and_start()
        self.assert_queue()

    def test_what_runs_is_left_alone(self):
        a, b = self.fill(2)
        found = [self.migration(server).uuid for server in (a, b)]
        status, out, err = shell.run('queue', 'cancel', *found, '-f', 'value')
        self.assertEqual((1, f'{found[1]} cancelled\n'), (status, out))
        (line,) = err.splitlines()
        self.assertIn('is transferring, not queued; to end it', line)
        self.assert_left(b, 'cancelled')
        self.guests.release(a)
        self.assert_moved(a)
