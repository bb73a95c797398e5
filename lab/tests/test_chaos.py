# SPDX-License-Identifier: Apache-2.0

"""What happens comes from the seed, and whatever begins is healed."""

import dataclasses
import json
import pathlib
import tempfile
import threading
import unittest
from unittest import mock

from labkit.chaos import faults
from labkit.chaos import history
from labkit.chaos.limits import Limits
from labkit.chaos import run
from labkit.chaos import schedule
from labkit.cloud import ApiError
from labkit.cloud import Cloud
from labkit.cloud import Migration
from labkit.cloud import Server
from labkit.plan import Plan
from labkit import shell

HOSTS = ('compute1', 'compute2', 'compute3', 'compute4')
ON = {name: fault.on for name, fault in faults.FAULTS.items()}


def make(seed, seconds=300):
    return schedule.make(seed, seconds, HOSTS, ON)


class ScheduleTestCase(unittest.TestCase):
    def test_the_same_seed_is_the_same(self):
        self.assertEqual(make(7), make(7))
        self.assertNotEqual(make(7).requests, make(8).requests)
        self.assertNotEqual(make(7).troubles, make(8).troubles)

    def test_it_can_be_kept(self):
        json.dumps(dataclasses.asdict(make(1)))

    def test_it_keeps_to_the_time_and_the_order(self):
        events = make(3, 120).events()
        times = [event.at for event in events]
        self.assertEqual(sorted(times), times)
        self.assertLessEqual(times[-1], 120)

    def test_a_shorter_run_is_the_begin_of_a_longer_one(self):
        short, long = make(5, 60).events(), make(5, 300).events()
        self.assertEqual(short, long[: len(short)])

    def test_each_fault_comes_in_five_minutes(self):
        seen = {trouble.fault for trouble in make(1).troubles}
        self.assertEqual(set(ON), seen)

    def test_a_fault_is_on_as_many_hosts_as_it_needs(self):
        for trouble in make(2).troubles:
            self.assertEqual(ON[trouble.fault], len(set(trouble.hosts)))
            self.assertLessEqual(set(trouble.hosts), set(HOSTS))

    def test_some_are_two_at_once(self):
        troubles = make(1).troubles
        pairs = zip(troubles, troubles[1:], strict=False)
        gaps = [b.at - a.at - a.seconds for a, b in pairs]
        self.assertLess(min(gaps), 0)

    def test_users_migrate_anywhere_and_abort(self):
        requests = make(1).requests
        self.assertEqual(
            {'migrate', 'abort'}, {request.action for request in requests}
        )
        self.assertEqual(
            {0, 2},
            {len(r.hosts) for r in requests if r.action == 'migrate'},
        )


class LimitsTestCase(unittest.TestCase):
    routes = {'a': ('compute1', 'compute2'), 'b': ('compute1', 'compute2')}

    def setUp(self):
        self.limits = Limits(1, 1)

    def look(self, **arrived):
        """``a`` and ``b`` leave compute1; the other end has a state."""
        self.limits.look(
            {
                'compute1': dict.fromkeys(arrived, 'running'),
                'compute2': arrived,
            },
            self.routes,
        )

    def test_what_two_looks_saw(self):
        self.look(a='paused', b='paused')
        self.assertEqual([], self.limits.broken())
        self.look(a='paused', b='paused')
        self.assertEqual(
            ['2 left at once, limit 1', '2 arrived at once, limit 1'],
            self.limits.broken(),
        )

    def test_one_after_the_other(self):
        self.look(a='paused')
        self.look(a='running', b='paused')
        self.look(b='paused')
        self.assertEqual((1, 1), (self.limits.most_out, self.limits.most_into))
        self.assertEqual([], self.limits.broken())

    def test_one_that_is_paused_to_leave_does_not_arrive(self):
        domains = {'compute1': {'a': 'paused'}, 'compute2': {}}
        self.limits.look(domains, self.routes)
        self.limits.look(domains, self.routes)
        self.assertEqual(0, self.limits.most_into)


class FaultsTestCase(unittest.TestCase):
    def test_the_table_is_whole(self):
        """Each is on the control plane or on some hosts, and can be healed."""
        for name, fault in faults.FAULTS.items():
            with self.subTest(name):
                self.assertIn(fault.on, (0, 1, 2))
                self.assertTrue(callable(fault.begin))
                self.assertTrue(callable(fault.heal))

    def test_a_fault_of_hosts_is_on_each_of_them(self):
        seen = []
        fault = faults._of_computes(
            2, lambda plan, host: None, lambda plan, host: seen.append(host)
        )
        fault.heal(None, ('compute1', 'compute3'))
        self.assertEqual(['compute1', 'compute3'], seen)


class HealAllTestCase(unittest.TestCase):
    def setUp(self):
        self.plan = Plan(pathlib.Path('/nowhere'), 2)
        self.healed = []
        for target, name in (
            (faults.control, 'start_services'),
            (faults.computes, 'have_reported'),
            (shell.time, 'sleep'),
        ):
            patch = mock.patch.object(target, name, autospec=True)
            patch.start()
            self.addCleanup(patch.stop)
        table = {
            'of hosts': faults.Fault(1, None, self.heal),
            'of the control plane': faults.Fault(0, None, self.heal),
        }
        patch = mock.patch.object(faults, 'FAULTS', table)
        patch.start()
        self.addCleanup(patch.stop)

    def heal(self, plan, hosts):
        self.healed.append(hosts)
        if len(self.healed) == 1:
            raise shell.LabError('not yet')

    def test_all_of_it_until_all_runs(self):
        """Something may not start at once, or not report at once."""
        faults.computes.have_reported.side_effect = [False, True]
        faults.heal_all(self.plan, None)
        self.assertEqual(5 * [['compute1', 'compute2']], self.healed)


def record(number, status, server='one'):
    places = ('compute1', 'compute2')
    return Migration(number, f'm{number}', server, *places, status, '')


class RunTestCase(unittest.TestCase):
    """A run on a cloud that is not there."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.plan = Plan(pathlib.Path(place.name), 4)
        self.cloud = mock.create_autospec(Cloud, instance=True)
        self.cloud.last_migration.return_value = 0
        self.cloud.migrations.return_value = []
        self.server = Server(
            *('one', 's1', 'compute1', 'ACTIVE', None, 'instance-1', '')
        )
        self.cloud.servers.return_value = [self.server]
        for target, name, value in (
            (run, 'Cloud', mock.Mock(return_value=self.cloud)),
            (faults, 'heal_all', mock.Mock()),
            (faults, 'restart_dead', mock.Mock()),
            (run.computes, 'domains', mock.Mock(return_value={})),
            (shell, 'say', mock.Mock()),
        ):
            patch = mock.patch.object(target, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.steps = []
        self.begun = threading.Event()

    def fault(self, error=None):
        def begin(plan, hosts):
            self.steps.append(('begin', hosts))
            self.begun.set()
            if error:
                raise error

        return faults.Fault(
            2, begin, lambda plan, hosts: self.steps.append(('heal', hosts))
        )

    def make(self, fault, requests=(), seconds=0.2):
        trouble = schedule.Trouble(0, 'it', HOSTS[:2], 60)
        patch = mock.patch.dict(faults.FAULTS, {'it': fault})
        patch.start()
        self.addCleanup(patch.stop)
        plan = schedule.Schedule(1, seconds, 2, 1, requests, (trouble,))
        return run.Run(self.plan, plan, [self.server])

    def diary(self):
        return (self.plan.logs / 'lab/diary.log').read_text()

    def test_a_fault_is_healed_at_the_end(self):
        self.make(self.fault()).go()
        where = HOSTS[:2]
        self.assertEqual([('begin', where), ('heal', where)], self.steps)
        faults.heal_all.assert_called_once()

    def test_a_fault_that_can_not_begin_is_healed(self):
        self.make(self.fault(shell.LabError('no'))).go()
        self.assertEqual('heal', self.steps[-1][0])
        self.assertIn('fault it compute1 compute2: no', self.diary())

    def test_an_interrupted_run_is_healed(self):
        storm = self.make(self.fault(), seconds=60)

        def interrupt(at):
            if at:
                self.assertTrue(self.begun.wait(10))
                raise KeyboardInterrupt

        with mock.patch.object(storm, '_wait', interrupt):
            self.assertRaises(KeyboardInterrupt, storm.go)
        self.assertEqual('heal', self.steps[-1][0])
        faults.heal_all.assert_called_once()

    def test_a_fault_of_two_hosts_is_on_those_of_a_migration(self):
        storm = self.make(self.fault())
        trouble = schedule.Trouble(0, 'it', HOSTS[2:], 60)
        storm.watch.last = [record(1, 'running')]
        self.assertEqual(HOSTS[:2], storm._where(trouble))
        storm.watch.last = []
        self.assertEqual(HOSTS[2:], storm._where(trouble))

    def ask(self, action, *hosts):
        storm = self.make(self.fault())
        storm.watch.last = [record(1, 'completed'), record(2, 'running')]
        storm._ask(schedule.Request(0, action, 5, hosts))
        return storm.answers

    def test_a_server_goes_where_it_is_not(self):
        self.assertEqual({'accepted': 1}, self.ask('migrate', *HOSTS))
        self.cloud.migrate.assert_called_once_with(self.server, 'compute2')

    def test_a_server_goes_anywhere(self):
        self.ask('migrate')
        self.cloud.migrate.assert_called_once_with(self.server, None)

    def test_a_server_that_migrates_is_left_alone(self):
        self.cloud.servers.return_value = [
            Server('one', 's1', 'compute1', 'MIGRATING', 'migrating', 'i', '')
        ]
        self.assertFalse(self.ask('migrate', *HOSTS))

    def test_what_is_live_is_aborted(self):
        self.assertEqual({'accepted': 1}, self.ask('abort'))
        self.cloud.abort.assert_called_once_with(record(2, 'running'))

    def test_a_refused_request(self):
        self.cloud.migrate.side_effect = ApiError(409, 'busy')
        self.assertEqual({'refused': 1}, self.ask('migrate', *HOSTS))
        self.assertIn('request refused: migrate: 409: busy', self.diary())

    def test_a_request_without_an_answer(self):
        self.cloud.migrate.side_effect = ApiError(0, 'timed out')
        self.assertEqual({'no answer': 1}, self.ask('migrate', *HOSTS))


class BusyTestCase(unittest.TestCase):
    def test_it_ends(self):
        with mock.patch.object(
            run.subprocess, 'Popen', autospec=True
        ) as popen:
            with run.busy(2):
                self.assertEqual(2, popen.call_count)
            self.assertEqual(2, popen.return_value.kill.call_count)


class HistoryTestCase(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.plan = Plan(pathlib.Path(place.name), 1)
        self.log = self.plan.logs / 'compute1/nova-compute.log'
        self.log.parent.mkdir(parents=True)

    def test_only_what_is_new(self):
        self.log.write_text('old\n')
        kept = history.History(self.plan)
        with self.log.open('a') as log:
            log.write('new\n')
        place = self.plan.work / 'kept'
        kept.keep(place, left=['something'])
        copy = place / 'compute1/nova-compute.log'
        self.assertEqual('new\n', copy.read_text())
        left = json.loads((place / 'left.json').read_text())
        self.assertEqual(['something'], left)
