# SPDX-License-Identifier: Apache-2.0

"""The link is handed on, and how many have it is found out."""

import fixtures

from nova_throttle.admission import stages
from nova_throttle import exception
from nova_throttle import rpcapi
from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_transfer
from nova_throttle.transfer import pace as pace_lib

ADMIN = test_transfer.ADMIN
MIB = 1024 * 1024


class LinkTestCase(test_transfer.TransferTestCase):
    """Full speed is 100 MiB/s; what has the link is held until told."""

    options = {
        'max_outgoing_transfers': 'auto',
        'max_incoming_transfers': 'auto',
    }

    def setUp(self):
        super().setUp()
        self.flags(group='libvirt', live_migration_bandwidth=100)
        # On a machine that is slow enough, it would try a second one.
        self.useFixture(
            fixtures.MonkeyPatch('nova_throttle.transfer.adapt.MOST', 1)
        )

    def observed(self, server):
        migration = self.src.manager._parts.migrations.of_instance(
            server['id']
        )
        return migration and migration.progress

    def send(self, server, done, left, **stats):
        """Have a guest be so many MiB far, and wait until that is seen."""
        for step in (done - 1, done):
            self.guests.send(server, step * MIB, left * MIB, **stats)
            self.wait_for(
                lambda s=step: (
                    self.observed(server)
                    and self.observed(server).done == s * MIB
                )
            )

    def almost_end(self, server):
        """Have a guest be about to end, and said so."""
        self.send(server, 99, 0)

    def waits(self, server):
        return [str(wait) for wait in self.entry(server).waits_for]

    def deck(self):
        parts = self.src.manager._parts.throttle._admission.stages
        return parts[parts.deck].gates['deck-out'].owners

    def speeds(self, server):
        return self.guests.speeds.get(server['id'])

    def wait_speeds(self, server, *speeds):
        self.wait_for(
            lambda: self.speeds(server) == [*speeds],
            lambda: f'{self.speeds(server)} is not {speeds}',
        )

    def begin(self, count=2):
        """Have the first on the wire and the others prepared behind it."""
        servers = self.boot(count)
        self.guests.hold(*servers)
        for server in servers:
            self.migrate(server)
            if server is servers[0]:
                self.guests.wait_running(server)
        self.wait_prepared(*servers[1:])
        return servers

    def put_on_deck(self, count=2):
        servers = self.begin(count)
        self.almost_end(servers[0])
        self.guests.wait_running(servers[1])
        self.wait_speeds(servers[1], 1)
        return servers

    def end(self, server):
        self.guests.release(server)
        self.assert_moved(server)


class DeckTestCase(LinkTestCase):
    def test_the_next_starts_early_and_has_full_speed_in_its_turn(self):
        a, b, c = self.put_on_deck(3)
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.assertEqual(self.uuids(b), self.deck())
        self.assertEqual([1, 2], [self.entry(s).position for s in (b, c)])
        self.assertEqual(
            ['on deck', 'gate full: transfer-out (1 of 1 in progress)'],
            self.waits(b)[:2],
        )
        self.assertNotIn('on deck', self.waits(c))
        self.send(b, 1, 99, memory_iteration=1)
        self.end(a)
        self.wait_speeds(b, 1, 100)
        self.assertEqual(self.uuids(b), self.gate().owners)
        self.assertEqual((), self.deck())
        self.almost_end(b)
        self.guests.wait_running(c)
        self.end(b)
        self.wait_speeds(c, 1, 100)
        self.end(c)
        self.assertEqual([100], self.speeds(a))
        self.assert_nothing_held()

    def test_nobody_starts_early_while_the_first_goes_on(self):
        a, b = self.begin()
        self.send(a, 10, 90)
        self.assertEqual([a['id']], self.guests.started)
        self.end(a)
        self.guests.wait_running(b)
        self.end(b)
        self.assertEqual([[100], [100]], [self.speeds(s) for s in (a, b)])

    def test_one_on_deck_is_aborted(self):
        a, b = self.put_on_deck()
        self.send(b, 1, 99, memory_iteration=1)
        self.abort(b)
        self.wait_status(b, 'cancelled')
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.wait_for(lambda: self.deck() == ())
        self.end(a)
        self.assert_nothing_held()

    def test_whoever_decides_is_gone(self):
        """Fifteen seconds later what was slow has full speed."""
        a, b = self.put_on_deck()
        self.src.manager._housekeeping.stop()
        self.send(b, 1, 99, memory_iteration=1)
        pace = self.src.manager._parts.migrations.of_instance(b['id']).pace
        until = pace._until
        pace._clock = lambda: until
        self.wait_speeds(b, 1, 100)
        self.assertLessEqual(pace_lib.LEASE, 15)
        self.end(b)
        self.end(a)

    def test_nothing_is_slow_while_nothing_may_start(self):
        a, b = self.put_on_deck()
        self.send(b, 1, 99, memory_iteration=1)
        self.src.manager.throttle.halt(
            test_transfer.standstill.Standstill.STARTING
        )
        self.src.manager._parts.transfer.look(None)
        self.wait_speeds(b, 1, 100)
        self.end(b)
        self.end(a)

    def test_the_second_pass_is_not_on_deck(self):
        a, b, c = self.put_on_deck(3)
        self.send(b, 50, 5, memory_iteration=2)
        self.guests.wait_running(c)
        self.assertEqual(self.uuids(c), self.deck())
        self.assertEqual([[1], [1]], [self.speeds(s) for s in (b, c)])
        self.end(a)
        self.wait_speeds(b, 1, 100)
        self.end(b)
        self.wait_speeds(c, 1, 100)
        self.end(c)

    def test_killed_while_one_is_on_deck(self):
        a, b = self.put_on_deck()
        self.kill_and_start()
        for server in (a, b):
            self.guests.release(server)
            self.wait_for(lambda s=server: s['id'] not in self.guests.running)
        self.retry()
        for server in (a, b):
            self.wait_status(server, 'completed', 'error', 'failed')
        self.assert_nothing_held()

    def test_a_number_is_kept_as_it_is(self):
        a, b = self.put_on_deck()
        self.send(b, 1, 99, memory_iteration=1)
        rpcapi.ThrottleAPI('src').set_limit(ADMIN, 'transfer-out', 1)
        self.src.manager._parts.transfer.look(None)
        self.wait_speeds(b, 1, 100)
        self.end(a)
        self.end(b)


class AsideTestCase(LinkTestCase):
    def stall(self, server, first=2, passes=3):
        for number in range(first, first + passes + 1):
            self.send(server, 100 * number, 80, memory_iteration=number)

    def test_one_without_headway_lets_others_go_first(self):
        a, b = self.begin()
        self.stall(a)
        self.wait_speeds(a, 100, 1)
        self.guests.wait_running(b)
        self.assertEqual(
            ['stepped aside', 'gate full: transfer-out (1 of 1 in progress)'],
            self.waits(a)[:2],
        )
        self.assertEqual(self.uuids(b), self.gate().owners)
        self.wait_speeds(b, 100)
        self.end(b)
        self.wait_speeds(a, 100, 1, 100)
        self.assertEqual(self.uuids(a), self.gate().owners)
        self.end(a)
        self.assert_nothing_held()


class AutoTestCase(LinkTestCase):
    def test_a_limit_that_is_found_out_is_told(self):
        api = rpcapi.ThrottleAPI('src')
        found = {g.name: g for g in api.get_snapshot(ADMIN).gates}
        self.assertEqual(
            {'transfer-out': 1, 'transfer-in': 1},
            {n: g.limit for n, g in found.items() if g.automatic},
        )
        self.assertNotIn(stages.DECK, found)
        api.set_limit(ADMIN, 'transfer-out', 2)
        self.assertFalse(self.gate().automatic)
        api.set_limit(ADMIN, 'transfer-out', 'auto')
        self.assertEqual((1, True), (self.gate().limit, self.gate().automatic))

    def test_that_of_the_first_stage_cannot_be_found_out(self):
        for gate, error in (
            ('source', exception.InvalidLimit),
            ('destination', exception.InvalidLimit),
            ('deck-in', exception.UnknownGate),
        ):
            self.assertRaises(
                error,
                rpcapi.ThrottleAPI('src').set_limit,
                ADMIN,
                gate,
                'auto',
            )

    def test_the_destination_takes_as_many_as_its_source_has_found(self):
        a, b = self.begin()
        link = self.src.manager._parts.link
        link._link.number.value = 2
        self.src.manager._parts.transfer.look(None)
        self.guests.wait_running(b)
        self.assertEqual(2, self.gate('transfer-in', 'dest').limit)
        self.assertEqual(2, self.gate().limit)
        self.end(a)
        self.end(b)

    def test_one_that_waits_to_be_prepared_is_aborted(self):
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.transfer.ahead.LONGEST', base.PATIENCE
            )
        )
        paused = self.useFixture(
            pause.Paused(
                self.src.manager.compute_rpcapi,
                'pre_live_migration',
                base.PATIENCE,
            )
        )
        servers = self.boot(3)
        for server in servers:
            self.ask_for_migration(server)
        parts = self.src.manager._parts
        self.wait_for(
            lambda: (
                (parts.link._ahead._preparing, parts.link._ahead._waiting)
                == (2, 1)
            )
        )
        of_instance = parts.migrations.of_instance
        (waiting,) = (
            server
            for server in servers
            if not of_instance(server['id']).may_be_prepared
        )
        self.abort(waiting)
        paused.proceed.set()
        self.assert_left(waiting, 'cancelled')
        for server in servers:
            if server is not waiting:
                self.assert_moved(server)
