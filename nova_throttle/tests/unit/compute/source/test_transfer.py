# SPDX-License-Identifier: Apache-2.0

"""One waits for the link: each way out of it, without a Nova."""

import threading
import types

import testtools

from nova_throttle.admission import controller
from nova_throttle.admission import request as request_lib
from nova_throttle.admission import standstill
from nova_throttle.compute import gates
from nova_throttle.compute.source import checks
from nova_throttle.compute.source import link
from nova_throttle.compute.source import transfer as transfer_lib
from nova_throttle import exception
from nova_throttle import lifecycle
from nova_throttle.tests.unit.compute.source import test_migration

State = lifecycle.State

# Seconds until a state that does not come fails the test.
PATIENCE = 60


class Journal:
    """Remembers the states that were written."""

    def __init__(self):
        self.states = []
        self.written = threading.Event()

    def put(self, entry):
        self.states.append(entry)
        self.written.set()


class TransferTestCase(testtools.TestCase):
    """One slot of the link; ``other`` has it."""

    def setUp(self):
        super().setUp()
        self.throttle = controller.Controller(
            {
                gates.IN_PROGRESS: {gates.SOURCE: 0},
                gates.TRANSFER: {gates.TRANSFER_OUT: 1},
            },
            self._start,
        )
        self.journal = Journal()
        self.link = link.Link(None, self.throttle, bool)
        self.transfer = transfer_lib.Transfer(
            types.SimpleNamespace(of_instance=lambda uuid: self.migration),
            self.journal,
            self.throttle,
            None,
            types.SimpleNamespace(refresh=lambda: None),
            self.link,
        )
        self.patch(
            transfer_lib.entries, 'entry_of', lambda migration, state: state
        )
        self.migration = test_migration.make(state=State.PREPARED)
        self.throttle.submit(self.request(self.migration.uuid))
        self.throttle.adopt(self.request('other'), 2)
        self.outcome = []

    def _start(self, grant):
        if grant.stage == gates.TRANSFER:
            self.transfer.begin(grant)

    def request(self, name):
        needs = (
            request_lib.Needs((gates.SOURCE,)),
            request_lib.Needs((gates.TRANSFER_OUT,)),
        )
        return request_lib.Request(name, f'i-{name}', 'dest', needs)

    def owners(self):
        return self.throttle.gate(gates.TRANSFER_OUT).owners

    def _wait(self):
        try:
            self.transfer.wait(self.migration)
        except exception.ThrottleError as error:
            self.outcome.append(type(error))
        else:
            self.outcome.append(None)

    def begin(self):
        """Have it wait, in a thread of its own."""
        thread = threading.Thread(target=self._wait, daemon=True)
        thread.start()
        self.assertTrue(self.journal.written.wait(PATIENCE))
        return thread

    def assert_ends(self, thread, outcome):
        thread.join(PATIENCE)
        self.assertEqual([outcome], self.outcome)
        self.assertEqual((), self.throttle.snapshot().queue)
        self.assertEqual({}, self.transfer._turns)

    def test_without_a_wait_nothing_is_written(self):
        self.throttle.finish('other')
        self._wait()
        self.assertEqual([None], self.outcome)
        self.assertEqual([], self.journal.states)
        self.assertEqual((self.migration.uuid,), self.owners())

    def test_its_turn(self):
        thread = self.begin()
        self.assertEqual([State.PREPARED], self.journal.states)
        self.throttle.release('other', gates.TRANSFER)
        self.assert_ends(thread, None)
        self.assertEqual((self.migration.uuid,), self.owners())
        self.transfer.end('instance')
        self.transfer.end('instance')
        self.assertEqual((), self.owners())

    def test_an_abort(self):
        thread = self.begin()
        self.assertTrue(self.migration.request_abort())
        self.assert_ends(thread, exception.MigrationAborted)
        self.assertEqual(('other',), self.owners())

    def test_an_abort_that_came_before(self):
        self.migration.request_abort()
        self._wait()
        self.assertEqual([exception.MigrationAborted], self.outcome)
        self.assertEqual((), self.throttle.snapshot().queue)

    def test_an_abort_that_comes_too_late_for_the_wait(self):
        """The last step before the driver sees it."""
        self.throttle.finish('other')
        self._wait()
        self.assertTrue(self.migration.request_abort())
        self.assertRaises(exception.MigrationAborted, self.migration.drive)

    def test_a_stop(self):
        thread = self.begin()
        self.throttle.halt(standstill.Standstill.STOPPING)
        self.transfer.stop()
        self.assert_ends(thread, exception.StoppedBeforeTransfer)
        self.assertEqual(('other',), self.owners())

    def test_its_destination_stops(self):
        self.patch(
            transfer_lib.undo_preparation, 'has_claims', lambda ours: False
        )
        thread = self.begin()
        self.transfer.leave('another')
        self.transfer.leave('dest')
        self.assert_ends(thread, exception.DestinationStops)
        self.assertEqual(('other',), self.owners())

    def test_what_has_devices_there_waits_for_its_destination(self):
        self.patch(
            transfer_lib.undo_preparation, 'has_claims', lambda ours: True
        )
        thread = self.begin()
        self.transfer.leave('dest')
        self.throttle.release('other', gates.TRANSFER)
        self.assert_ends(thread, None)

    def test_a_stop_that_came_before(self):
        self.throttle.halt(standstill.Standstill.STOPPING)
        self.transfer.stop()
        self._wait()
        self.assertEqual([exception.StoppedBeforeTransfer], self.outcome)

    def test_an_abort_wins_over_a_stop(self):
        thread = self.begin()
        self.migration._aborted = True
        self.transfer.stop()
        self.assert_ends(thread, exception.MigrationAborted)

    def test_goes_on_in_a_pause(self):
        """What is in progress is not paused."""
        thread = self.begin()
        self.throttle.halt(standstill.Standstill.PAUSED)
        (entry,) = self.throttle.snapshot().queue
        self.assertIn('gate full', str(entry.waits_for[0]))
        self.throttle.release('other', gates.TRANSFER)
        self.assert_ends(thread, None)

    def test_what_it_was_prepared_for_is_over(self):
        self.patch(checks, 'GOOD', 0)
        gone = exception.InstanceGone(instance_uuid='instance')
        self.transfer._succession = types.SimpleNamespace(
            standing=lambda migration: types.SimpleNamespace(
                is_ours=False, reason=gone
            )
        )
        thread = self.begin()
        self.throttle.release('other', gates.TRANSFER)
        self.assert_ends(thread, exception.InstanceGone)
        self.assertEqual((), self.owners())
