# SPDX-License-Identifier: Apache-2.0

"""How fast each guest moves, by what is asked of libvirt."""

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_recovery
from nova_throttle.transfer import pace as pace_lib

MIB = 1024 * 1024


class SpeedTestCase(test_recovery.RestartTestCase):
    """Full speed is 100 MiB/s."""

    limit = 0

    def setUp(self):
        super().setUp()
        self.flags(group='libvirt', live_migration_bandwidth=100)
        self.now = 0.0

    def begin(self, slow=True):
        """Have a guest on the wire, slow or not."""
        (server,) = self.boot(1)
        self.guests.hold(server)
        paused = self.useFixture(
            pause.Paused(
                self.src.manager._parts.run, 'note_running', base.PATIENCE
            )
        )
        self.migrate(server)
        self.assertTrue(paused.started.wait(base.PATIENCE))
        pace = self.src.manager._parts.migrations.of_instance(
            server['id']
        ).pace
        pace._clock = lambda: self.now
        if slow:
            pace.slow()
        paused.proceed.set()
        self.guests.wait_running(server)
        self.send(server, 1)
        return server, pace

    def send(self, server, done):
        """Have so many of its 100 MiB sent, and wait until that is known."""
        self.guests.send(server, done * MIB, (100 - done) * MIB)
        ours = self.src.manager._parts.migrations.of_instance(server['id'])
        self.wait_for(
            lambda: ours.progress and ours.progress.done == done * MIB
        )

    def wait_speeds(self, server, *speeds):
        self.wait_for(
            lambda: self.guests.speeds[server['id']] == [*speeds],
            lambda: f'{self.guests.speeds[server["id"]]} is not {speeds}',
        )

    def end(self, server):
        self.guests.release(server)
        self.assert_moved(server)

    def test_it_begins_slow_and_is_slow_as_long_as_that_is_said(self):
        server, pace = self.begin()
        self.wait_speeds(server, 1)
        pace.full()
        self.wait_speeds(server, 1, 100)
        pace.slow()
        self.wait_speeds(server, 1, 100, 1)
        self.now += pace_lib.LEASE
        self.wait_speeds(server, 1, 100, 1, 100)
        self.end(server)
        self.wait_speeds(server, 1, 100, 1, 100)

    def test_one_that_is_to_complete_now_is_at_full_speed(self):
        server, pace = self.begin()
        self.wait_status(server, 'running')
        self.api.api_post(
            f'/servers/{server["id"]}/migrations/'
            f'{self.migration(server).id}/action',
            {'force_complete': None},
            check_response_status=[202],
        )
        self.wait_speeds(server, 1, 100)
        self.assertFalse(pace.slow())
        self.end(server)

    def test_nobody_is_slow_unless_told(self):
        server, _ = self.begin(slow=False)
        self.send(server, 50)
        self.end(server)
        self.wait_speeds(server, 100)

    def test_what_was_slow_when_nova_compute_was_killed_is_at_full_speed(self):
        """libvirt will not abort it, and nobody else would change it."""
        server, _ = self.begin()
        self.kill()
        self.stub_out(
            'nova.tests.fixtures.libvirt.Domain.abortJob',
            lambda domain: self.guests.refuse(),
        )
        self.start_again()
        self.wait_speeds(server, 1, 100)
        self.guests.release(server)
        self.wait_for(lambda: server['id'] not in self.guests.running)
        self.retry()
        self.assert_moved(server)
