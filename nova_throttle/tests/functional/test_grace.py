# SPDX-License-Identifier: Apache-2.0

"""A fault that passes ends no migration that waits for its turn."""

import threading
import time

import fixtures
from nova import exception as nova_exception
from nova.objects import base as nova_base
import oslo_messaging

from nova_throttle.admission import snapshot as snapshot_lib
from nova_throttle.admission import standstill
from nova_throttle.compute import compat
from nova_throttle.compute.source import deferral
from nova_throttle.tests.functional import test_recovery

Standstill = standstill.Standstill
WaitReason = snapshot_lib.WaitReason


class SilentConductor(fixtures.Fixture):
    """While it is silent, whoever of ours asks the database gets no answer.

    What was asked for has been done all the same if it is ``late``.
    """

    def _setUp(self):
        self.silent = self.late = False
        self._inside = threading.local()
        self.questions = 0
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.objects.base.NovaObject.indirection_api', self
            )
        )

    def __bool__(self):
        name = threading.current_thread().name
        ours = name.startswith(compat.THREAD_PREFIX)
        return self.silent and ours and not hasattr(self._inside, 'action')

    def object_action(self, context, instance, method, args, kwargs):
        return self._ask(getattr(instance, method), *args, **kwargs)

    def object_class_action_versions(
        self, context, name, method, versions, args, kwargs
    ):
        found = nova_base.NovaObject.obj_class_from_name(name, versions[name])
        return self._ask(getattr(found, method), context, *args, **kwargs)

    def _ask(self, action, *args, **kwargs):
        self.questions += 1
        if self.late:
            self._inside.action = action
            try:
                action(*args, **kwargs)
            finally:
                del self._inside.action
        raise oslo_messaging.MessagingTimeout('the conductor is silent')


class GraceTestCase(test_recovery.RestartTestCase):
    """``a`` runs; what is asked for then is queued behind it."""

    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(f'{deferral.__name__}.{"RETRY"}', 0.05)
        )
        self.conductor = self.useFixture(SilentConductor())
        self.down = set()
        self.questions = 0
        self.stub_out(
            'nova.servicegroup.api.API.service_is_up', self.service_is_up
        )
        (self.a,) = self.boot(1)
        self.guests.hold(self.a)
        self.migrate(self.a)
        self.guests.wait_running(self.a)
        self.wait_status(self.a, 'running')

    def service_is_up(self, api, service):
        if service['host'] not in self.down:
            return True
        self.questions += 1
        return False

    def queue(self, count):
        servers = [*self.boot(count - 1), self.boot_with_port()]
        for server in servers:
            self.migrate(server)
        return servers

    def free_the_slot(self):
        self.guests.release(self.a)
        self.wait_status(self.a, 'completed')

    def waits(self, reason):
        """Return the servers that wait for this reason."""
        return [
            entry.instance_uuid
            for entry in self.throttle.snapshot().queue
            if reason in [wait.reason for wait in entry.waits_for]
        ]

    def wait_waiting(self, servers, reason):
        ids = [server['id'] for server in servers]
        self.wait_for(
            lambda: self.waits(reason) == ids,
            lambda: f'{self.throttle.snapshot().queue}',
        )

    def assert_all_complete(self, servers):
        for server in servers:
            self.assert_moved(server)
        self.assertEqual(
            [s['id'] for s in (self.a, *servers)], self.guests.started
        )
        self.assertEqual(1, self.guests.most_running)


class DestinationDownTestCase(GraceTestCase):
    """The destination counts as down as a slot is freed."""

    def lose_the_destination(self, count):
        servers = self.queue(count)
        self.down.add('dest')
        self.free_the_slot()
        self.wait_waiting(servers, WaitReason.DOWN)
        for server in servers:
            self.assertEqual('queued', self.status(server))
        return servers

    def test_all_complete_when_it_is_back(self):
        servers = self.lose_the_destination(5)
        self.down.clear()
        self.assert_all_complete(servers)

    def test_they_keep_their_order_whichever_is_due_first(self):
        servers = self.lose_the_destination(2)
        deferred = self.src.manager._parts.deferral
        deferred.stop()
        self.wait_for(lambda: deferred._task.join(0))
        of_instance = self.src.manager._parts.migrations.of_instance
        first, second = (of_instance(each['id']).uuid for each in servers)
        deferred._deferred[first].due = time.monotonic() + 3600
        deferred._deferred[second].due = 0
        self.down.clear()
        deferred._task.run()
        self.assert_all_complete(servers)

    def test_one_question_is_enough_for_all(self):
        servers = self.lose_the_destination(5)
        deferred = self.src.manager._parts.deferral
        deferred.stop()
        self.wait_for(lambda: deferred._task.join(0))
        before = self.questions
        self.make_due(deferred)
        deferred._task.run()
        self.assertEqual(before + 1, self.questions)
        self.down.clear()
        self.make_due(deferred)
        deferred._task.run()
        self.assert_all_complete(servers)

    @staticmethod
    def make_due(deferred):
        for each in deferred._deferred.values():
            each.due = 0

    def test_other_destinations_are_not_held_up(self):
        servers = self.lose_the_destination(2)
        (other,) = self.boot(1)
        self.start_compute('other')
        self.migrate(other, host='other')
        self.wait_status(other, 'completed')
        self.assert_on(other, 'other')
        self.down.clear()
        for server in servers:
            self.assert_moved(server)

    def test_they_leave_when_the_grace_time_is_over(self):
        servers = self.lose_the_destination(2)
        self.flags(fault_grace_time=0, group='nova_throttle')
        for server in servers:
            self.assert_left(server, 'error')

    def test_without_grace_they_leave_at_once(self):
        self.flags(fault_grace_time=0, group='nova_throttle')
        servers = self.queue(2)
        self.down.add('dest')
        self.free_the_slot()
        for server in servers:
            self.assert_left(server, 'error')

    def test_one_is_aborted_meanwhile(self):
        first, second = self.lose_the_destination(2)
        self.abort(first)
        self.assert_left(first, 'cancelled')
        self.down.clear()
        self.assert_moved(second)

    def test_a_restart_meanwhile(self):
        servers = self.lose_the_destination(3)
        self.restart()
        self.down.clear()
        self.assert_all_complete(servers)

    def test_it_is_disabled_meanwhile(self):
        """That is somebody's decision, and no fault that passes."""
        servers = self.lose_the_destination(2)
        service = self.api.get_services(host='dest', binary='nova-compute')[0]
        self.api.put_service(service['id'], {'status': 'disabled'})
        for server in servers:
            self.assert_left(server, 'error')


class SilentConductorTestCase(GraceTestCase):
    def silence(self, count, late=False):
        servers = self.queue(count)
        self.throttle.halt(Standstill.PAUSED)
        self.free_the_slot()
        self.conductor.late = late
        self.conductor.silent = True
        self.throttle.resume(Standstill.PAUSED)
        return servers

    def test_all_complete_when_it_answers_again(self):
        servers = self.silence(3)
        self.wait_waiting(servers, WaitReason.FAILED)
        self.conductor.silent = False
        for server in servers:
            self.assert_moved(server)

    def test_all_complete_though_it_did_what_it_did_not_answer(self):
        servers = self.silence(3, late=True)
        self.wait_waiting(servers, WaitReason.FAILED)
        self.conductor.silent = False
        for server in servers:
            self.assert_moved(server)

    def test_it_falls_silent_as_nova_begins(self):
        """After our checks, at the first write of Nova's own code."""
        (server,) = self.queue(1)
        novas = self.src.manager._do_live_migration
        begun = []

        def begin(*args):
            begun.append(args)
            self.conductor.silent = len(begun) == 1
            return novas(*args)

        self.stub_out(
            'nova_throttle.compute.manager.ThrottledComputeManager.'
            '_do_live_migration',
            lambda manager, *args: begin(*args),
        )
        self.conductor.late = True
        self.free_the_slot()
        self.wait_waiting([server], WaitReason.FAILED)
        self.conductor.silent = False
        self.assert_moved(server)

    def test_it_is_silent_when_the_request_comes(self):
        (server,) = self.boot(1)
        status = 'nova.compute.manager.ComputeManager._set_migration_status'

        def fail(*args):
            raise oslo_messaging.MessagingTimeout('the conductor is silent')

        with fixtures.MonkeyPatch(status, fail):
            self.ask_for_migration(server)
            self.wait_waiting([server], WaitReason.FAILED)
        self.wait_status(server, 'queued')
        self.free_the_slot()
        self.assert_moved(server)

    def test_they_leave_when_the_grace_time_is_over(self):
        servers = self.silence(2)
        self.wait_waiting(servers, WaitReason.FAILED)
        self.flags(fault_grace_time=0, group='nova_throttle')
        self.wait_for(lambda: not self.throttle.snapshot().queue)
        self.conductor.silent = False
        self.retry()
        for server in servers:
            self.assert_left(server, 'error', event=False)


class OtherFaultsTestCase(GraceTestCase):
    """Whatever else is asked before the destination prepares."""

    def break_for_a_while(self, name, error):
        (server,) = self.queue(1)

        def fail(*args, **kwargs):
            raise error

        with fixtures.MonkeyPatch(name, fail):
            self.free_the_slot()
            self.wait_waiting([server], WaitReason.FAILED)
        self.assert_moved(server)

    def test_the_hypervisor(self):
        """That of the source: its destination looks at its own."""
        self.break_for_a_while(
            'nova_throttle.compute.source.checks.check_guest',
            nova_exception.HypervisorUnavailable(),
        )

    def test_placement(self):
        self.break_for_a_while(
            'nova.scheduler.client.report.SchedulerReportClient.'
            'get_allocs_for_consumer',
            nova_exception.ConsumerAllocationRetrievalFailed(
                consumer_uuid='a', error='503'
            ),
        )

    def test_the_journal(self):
        self.break_for_a_while(
            'nova_throttle.journal.Journal.put', OSError('no space left')
        )


class AwayAtTheEndTestCase(GraceTestCase):
    """The control plane is away when a migration ends."""

    def arrive_unseen(self):
        self.conductor.silent = True
        self.guests.release(self.a)
        self.wait_for(lambda: self.a['id'] not in self.guests.running)
        parts = self.src.manager._parts
        self.wait_for(
            lambda: (
                parts.migrations.of_migration(self.migration(self.a).uuid)
                is None
            )
        )
        self.assertEqual('running', self.status(self.a))
        self.conductor.silent = False

    def test_one_that_arrives_is_finished(self):
        self.arrive_unseen()
        self.retry()
        self.assert_moved(self.a)
        self.wait_for(lambda: self.owners() == ())

    def test_one_that_fails_is_rolled_back(self):
        self.conductor.silent = True
        self.guests.fail(self.a)
        self.wait_for(lambda: self.conductor.questions > 1)
        self.conductor.silent = False
        self.assert_left(self.a, 'failed')
        self.wait_for(lambda: self.owners() == ())

    def test_the_next_one_goes_on(self):
        (b,) = self.queue(1)
        self.arrive_unseen()
        self.retry()
        self.assert_moved(self.a)
        self.assert_moved(b)
