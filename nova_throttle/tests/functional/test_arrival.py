# SPDX-License-Identifier: Apache-2.0

"""A guest arrives and Nova cannot finish: nothing is stuck or leaked.

libvirt needs no nova-compute at the destination. When it has moved the guest,
the source's nova-compute asks the destination's to do the rest, and waits.
"""

from nova import context as nova_context
from nova import objects
import oslo_messaging
from oslo_messaging.rpc import client as rpc_client

from nova_throttle.compute import compat
from nova_throttle.tests.functional import test_recovery

REST = 'post_live_migration_at_destination'


class ArrivalTestCase(test_recovery.RestartTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.boot_with_port()
        self.late = []

    def break_rest(self, error, is_done=False):
        """Have the destination not do the rest, or do it without a word.

        What it was sent and has not done is kept in ``late``.
        """
        original = rpc_client._BaseCallContext.call

        def call(client, context, method, /, **kwargs):
            if method != REST:
                return original(client, context, method, **kwargs)
            if is_done:
                original(client, context, method, **kwargs)
            else:
                self.late.append((context, kwargs))
            raise error

        self.stub_out('oslo_messaging.rpc.client._BaseCallContext.call', call)

    def break_(self, target, name, only_with=None):
        """Have a method fail.

        :param only_with: an argument without which it works.
        :returns: what mends it.
        """
        original = getattr(target, name)

        def fail(*args, **kwargs):
            if only_with is None or only_with in args:
                raise RuntimeError('down')
            return original(*args, **kwargs)

        setattr(target, name, fail)
        self.addCleanup(setattr, target, name, original)
        return lambda: setattr(target, name, original)

    def fail_once(self, target, name):
        """Have a method fail when it is called next."""
        original = getattr(target, name)

        def fail(*args, **kwargs):
            setattr(target, name, original)
            raise RuntimeError('down')

        setattr(target, name, fail)

    def set_task_state(self, task_state):
        """Have somebody do something with the server, or be done."""
        context = nova_context.get_admin_context()
        with nova_context.target_cell(context, self.cell) as cell_context:
            instance = objects.Instance.get_by_uuid(
                cell_context, self.server['id']
            )
            instance.task_state = task_state
            instance.save()

    def problem(self):
        """Return why the server's migration has not ended yet."""
        entry = self._journaled(self.server)
        return entry and entry.reason

    def assert_not_over(self, server):
        """Check that the record says so, where Nova lets it."""
        if int(compat.nova_version().partition('.')[0]) >= 30:
            # Before, Nova goes on whatever the destination answers.
            self.assertEqual('running', self.status(server))

    def is_completed_at_next_look(self):
        self.retry()
        return self.status(self.server) == 'completed'


class UnfinishedTestCase(ArrivalTestCase):
    """The destination does not do the rest, or says nothing of it."""

    def mend_rest(self):
        """Have the destination answer again."""
        self.stub_out(
            'oslo_messaging.rpc.client._BaseCallContext.call', self.original
        )

    def setUp(self):
        super().setUp()
        self.original = rpc_client._BaseCallContext.call

    def wait_arrived(self, server):
        """Wait until it is noted that what is left to do has failed."""
        self.wait_for(lambda: self.problem(server))

    def problem(self, server):
        entry = self._journaled(server)
        return entry is not None and entry.reason

    def assert_migrating(self, server):
        """Check that a server is not given to a host that has it not."""
        found = self.api.get_server(server['id'])
        self.assertEqual('src', found['OS-EXT-SRV-ATTR:host'])
        self.assertEqual('migrating', found['OS-EXT-STS:task_state'])
        self.assertEqual('MIGRATING', found['status'])
        self.assert_not_over(server)


class SilentDestinationTestCase(UnfinishedTestCase):
    """The destination's nova-compute was killed while the guest moved."""

    silence = oslo_messaging.MessagingTimeout('no reply')

    def test_the_migration_completes_when_it_is_back(self):
        """Plain Nova puts the server into ERROR and leaks what it held."""
        self.break_rest(self.silence)
        self.migrate(self.server)
        self.wait_arrived(self.server)
        self.assert_migrating(self.server)
        self.mend_rest()
        self.retry()
        self.assert_moved(self.server)

    def test_that_did_all_but_answer(self):
        self.break_rest(self.silence, is_done=True)
        self.migrate(self.server)
        self.wait_arrived(self.server)
        self.mend_rest()
        self.retry()
        self.assert_moved(self.server)

    def test_the_bus_being_away_is_the_same(self):
        self.break_rest(oslo_messaging.MessageDeliveryFailure('no bus'))
        self.migrate(self.server)
        self.wait_arrived(self.server)
        self.assert_migrating(self.server)
        self.mend_rest()
        self.retry()
        self.assert_moved(self.server)

    def test_the_next_one_goes_on(self):
        self.break_rest(self.silence)
        other = self.boot_with_port()
        self.guests.hold(self.server, other)
        self.migrate(self.server, other)
        self.guests.release(self.server)
        self.wait_arrived(self.server)
        self.guests.wait_running(other)
        self.mend_rest()
        self.guests.release(other)
        self.assert_moved(other)
        self.retry()
        self.assert_moved(self.server)

    def test_the_message_arrives_when_the_destination_is_back(self):
        self.break_rest(self.silence)
        self.migrate(self.server)
        self.wait_arrived(self.server)
        context, arguments = self.late[0]
        getattr(self.computes['dest'].manager, REST)(context, **arguments)
        self.assert_on(self.server, 'dest')
        self.mend_rest()
        self.retry()
        self.assert_moved(self.server)
        self.assertNotIn('Error', self.results(self.server, f'compute_{REST}'))

    def results(self, server, name):
        """Return the results of a server's events of a name."""
        (events,) = self.action_events(server)
        return [e['result'] for e in events if e['event'] == name]

    def test_and_across_a_restart(self):
        self.break_rest(self.silence)
        self.migrate(self.server)
        self.wait_arrived(self.server)
        self.kill()
        self.mend_rest()
        self.start_again()
        self.assert_moved(self.server)

    def test_the_source_is_killed_too(self):
        """Before Nova gave up waiting for the destination's answer."""
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.wait_status(self.server, 'running')
        self.kill()
        self.guests.release(self.server)
        self.wait_for(lambda: not self.guests.running)
        self.break_rest(self.silence)
        self.start_again()
        self.wait_for(lambda: self.late)
        self.mend_rest()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)


class FailedArrivalTestCase(UnfinishedTestCase):
    """The rest fails at the destination."""

    def test_it_is_done_when_that_is_possible(self):
        """Plain Nova puts the server into ERROR, or leaves it MIGRATING."""
        self.break_rest(oslo_messaging.RemoteError('ValueError', 'broken'))
        self.migrate(self.server)
        self.wait_arrived(self.server)
        self.assert_migrating(self.server)
        self.mend_rest()
        self.retry()
        self.assert_moved(self.server)

    def test_a_completed_one_stays_completed(self):
        self.fail_once(
            self.src.manager.reportclient, 'delete_allocation_for_instance'
        )
        self.migrate(self.server)
        self.retry()
        self.assert_moved(self.server)
