# SPDX-License-Identifier: Apache-2.0

"""A migration may fail at every step, and nothing is stuck or leaked.

One migration is recorded; then, for each call that it made, another one is
run in which exactly that call fails: it is refused, or, for what another
process does, its answer is lost. The same is done with a migration whose
preparation fails and with one that libvirt fails, so that each step of the
rollback fails too.

Every n-th step is tried, always the same ones. With ``OS_EVERY_STEP=all``
all are: ``tox -e every-step`` does that.

Two steps of one migration fail as well. The second one may be a step of what
the first one leads to: of a rollback, or of an end that is tried again. Which
ones is drawn by lot, from ``OS_EVERY_STEP_SEED``.
"""

import contextlib
import dataclasses
import os
import random

from nova.tests import fixtures as nova_fixtures
from oslo_utils import uuidutils

from nova_throttle.compute import compat
from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import steps as steps_lib

# Of how many steps one is tried, unless all are.
SAMPLE = 20

# Migrations that are queued at once, one step or two failing in each.
BATCH = 8

# Pairs that are tried, and with OS_EVERY_STEP=all.
PAIRS = 4
ALL_PAIRS = 80


class EveryStepTestCase(base.ThrottleTestCase):
    # Steps that fail in each migration, by kind and name.
    broken = ()

    def setUp(self):
        self.cinder = self.useFixture(nova_fixtures.CinderFixture(self))
        super().setUp()
        self.steps = self.useFixture(
            steps_lib.Steps(self.src, self._check_limit)
        )
        self.most_owners = 0
        # Cases whose faults were not met.
        self.missed = 0
        self._spare = []
        # By server: its volume, and what attached that before.
        self._volumes = {}
        self._before = {}
        # Servers of which the destination has heard that they arrived.
        self.taken_over = set()
        manager = self.computes['dest'].manager
        original = manager.driver.post_live_migration_at_destination

        def take_over(context, instance, *args):
            self.taken_over.add(instance.uuid)
            return original(context, instance, *args)

        manager.driver.post_live_migration_at_destination = take_over

    def _check_limit(self):
        self.most_owners = max(self.most_owners, len(self.owners()))

    # The servers

    def take_server(self):
        """Return a server with a port and a volume, ACTIVE on the source."""
        if self._spare:
            return self._spare.pop()
        port = self.neutron.create_port({'port': self.neutron.port_2})['port']
        (server,) = self.boot(1, networks=[{'port': port['id']}])
        volume = self._volumes[server['id']] = uuidutils.generate_uuid()
        self.attach_volume(server, volume)
        self.wait_for(lambda: self.attachments(server))
        return server

    def attachments(self, server):
        volume = self._volumes[server['id']]
        return list(self.cinder.volume_to_attachment[volume])

    def give_back(self, server):
        """Keep a server for another migration, if it can have one."""
        found = self.api.get_server(server['id'])
        place = found['status'], found['OS-EXT-SRV-ATTR:host']
        if place == ('ACTIVE', 'src'):
            self._spare.append(server)
        else:
            self._delete_server(server)

    # A migration

    def start(self, server, faults=None):
        self._before[server['id']] = self.attachments(server)
        self.steps.arm(server, faults)
        self.guests.hold(server)
        self.ask_for_migration(server)

    def let_go(self, *servers):
        self.guests.release(*servers)

    def wait_over(self, server):
        """Wait for the end, with nothing kept that can be waited for."""
        parts = self.src.manager._parts
        uuid = self.migration(server).uuid
        self.wait_for(
            lambda: (
                parts.migrations.of_migration(uuid) is None
                and any(s.role != 'handler' for s in self.steps.made(server))
                or parts.cleanup.knows(uuid)
                or self.status(server) in compat.FINAL_STATUSES
            )
        )
        self.wait_for(lambda: self._is_out(uuid), lambda: f'{uuid} is stuck')

    def _is_out(self, uuid):
        """Tell whether a migration is out of every table of ours."""
        parts = self.src.manager._parts
        recovery = self.src.manager._recovery
        for each in (
            *list(parts.cleanup._departures.values()),
            *list(recovery._pending.values()),
        ):
            each.due = 0
        parts.cleanup.retry()
        recovery.carry_on()
        return (
            parts.migrations.of_migration(uuid) is None
            and uuid not in recovery._pending
            and parts.journal.get(uuid) is None
            and uuid not in self.owners()
            and not parts.cleanup.knows(uuid)
        )

    # What must be true of it

    def assert_clean(self, server, faults):
        """Check that nothing is stuck, wherever the server is now."""
        self.wait_over(server)
        # One may keep the other from being made; and a check that is made
        # ahead of its turn need not be made again.
        self.missed += not set(faults) & set(self.steps.made(server))
        self.assertIn(self.status(server), compat.FINAL_STATUSES)
        found = self.api.get_server(server['id'])
        self.assertIsNone(found['OS-EXT-STS:task_state'])
        self.assertNotIn(
            server['id'], self.src.manager._waiting_live_migrations
        )
        if self.status(server) == 'completed':
            self.assert_all_is_at(server, 'dest')
        elif found['status'] == 'ACTIVE' or not self.entered_driver(server):
            self.assert_left(server, self.status(server), event=False)
            self.assert_domain(server, 'src')
            self.assertFalse(self.has_domain(server, 'dest'))
            self.assertNotIn(server['id'], self.taken_over)
            self.assertEqual(
                self._before[server['id']], self.attachments(server)
            )
        if not any('InstanceActionEvent' in step.name for step in faults):
            self.assert_event(server)

    def assert_all_is_at(self, server, host):
        """Check that a server, and all that is held for it, is on a host."""
        self.assert_on(server, host)
        self.assertEqual([host], self.allocations(server['id']))
        self.assertEqual([], self.allocations(self.migration(server).uuid))
        self.assert_bound(server, host)
        self.assert_domain(server, host)
        self.assertIn(server['id'], self.taken_over)
        (attachment,) = self.attachments(server)
        self.assertNotIn(attachment, self._before[server['id']])

    def assert_domain(self, server, host):
        self.assertTrue(
            self.has_domain(server, host), f'there is no domain on {host}'
        )

    def has_domain(self, server, host):
        manager = self.computes[host].manager
        return server['id'] in manager.driver.list_instance_uuids()

    def assert_event(self, server):
        completed = self.status(server) == 'completed'
        wanted = ('Success',) if completed else ('Success', 'Error')
        self.wait_for(
            lambda: self._event(server) in wanted,
            lambda: f'the event says {self._event(server)}',
        )

    def entered_driver(self, server):
        made = self.steps.made(server)
        return any(
            (step.kind, step.name) == ('driver', 'live_migration')
            for step in made
        )

    # All steps

    def record(self):
        """Return the steps of one migration in which no other fails."""
        server = self.take_server()
        with self.queued_behind_another():
            self.start(server, self.faults())
        self.let_go(server)
        self.wait_over(server)
        self.assertEqual(self.ends_as, self.status(server))
        made = self.steps.made(server)
        self.give_back(server)
        return made

    @contextlib.contextmanager
    def queued_behind_another(self):
        """Keep the slot while others are asked for; then let it go."""
        first = self.take_server()
        self.start(first)
        self.guests.wait_running(first)
        yield
        self.guests.release(first)
        self.wait_status(first, 'completed')
        self.wait_over(first)
        self.give_back(first)

    def faults(self):
        """Return the faults that every migration of this test has."""
        return {}

    def cases(self):
        made = [step for step in self.record() if step not in self.faults()]
        cases = faults_of(made)
        if not is_thorough():
            cases = cases[self.offset :: SAMPLE]
        return [dict([case]) for case in cases]

    ends_as = 'completed'
    offset = 0

    def test_every_step(self):
        cases = self.cases()
        self.assertTrue(cases)
        wrong = []
        for first in range(0, len(cases), BATCH):
            wrong += self.try_batch(cases[first : first + BATCH])
        self.assertEqual('', '\n'.join(wrong))
        self.assertLess(self.missed, max(2, len(cases) // 4))
        self.assertEqual(self.limit, self.most_owners)
        self.assertEqual(1, self.guests.most_running)

    def try_batch(self, cases):
        """Queue migrations that fail, and one behind that does not."""
        servers = [self.take_server() for _ in cases]
        healthy = self.take_server()
        with self.queued_behind_another():
            for server, case in zip(servers, cases, strict=True):
                self.start(server, {**self.faults(), **case})
            self.start(healthy)
        self.guests.release(healthy)
        self.let_go(*servers)
        wrong = []
        for server, case in zip(servers, cases, strict=True):
            wrong += self.problems(server, case)
            self.give_back(server)
        self.wait_status(healthy, 'completed')
        self.wait_over(healthy)
        self.give_back(healthy)
        return wrong

    def problems(self, server, faults):
        """Return what is wrong after steps failed; nothing, one hopes."""
        try:
            self.assert_clean(server, faults)
        except AssertionError as error:
            case = ', '.join(f'{s} ({fault})' for s, fault in faults.items())
            return [f'{case}: {error}']
        return []


def is_thorough():
    return os.environ.get('OS_EVERY_STEP') == 'all'


def faults_of(made):
    """Return each way in which each step may fail."""
    return [(step, steps_lib.REFUSED) for step in made] + [
        (step, steps_lib.LOST) for step in made if step.is_remote
    ]


class PairsTestCase(EveryStepTestCase):
    """Two steps of one migration fail."""

    def cases(self):
        made = [step for step in self.record() if step not in self.faults()]
        first = faults_of(made)
        # What fails is gone on with from the journal.
        again = [
            dataclasses.replace(step, role='recovery')
            for step in made
            if step.role in ('worker', 'libvirt')
        ]
        second = first + faults_of(again)
        lots = random.Random(int(os.environ.get('OS_EVERY_STEP_SEED', 1)))
        return [
            dict([lots.choice(first), lots.choice(second)])
            for _ in range(ALL_PAIRS if is_thorough() else PAIRS)
        ]


class PreparationFailsPairsTestCase(PairsTestCase):
    """Two steps of Nova's rollback fail."""

    ends_as = 'failed'

    def faults(self):
        return PreparationFailsTestCase.faults(self)


class LibvirtFailsPairsTestCase(PairsTestCase):
    """Two steps of the driver's rollback fail."""

    ends_as = 'failed'

    def let_go(self, *servers):
        self.guests.fail(*servers)


class PreparationFailsTestCase(EveryStepTestCase):
    """Nova rolls back, and a step of that fails too."""

    ends_as = 'failed'

    def faults(self):
        step = steps_lib.Step('worker', 'rpc', 'pre_live_migration', 0)
        return {step: steps_lib.REFUSED}


class LibvirtFailsTestCase(EveryStepTestCase):
    """The driver rolls back, and a step of that fails too."""

    ends_as = 'failed'

    def let_go(self, *servers):
        self.guests.fail(*servers)
