# SPDX-License-Identifier: Apache-2.0
"""When a destination declines what a scheduler chose it for.

What the scheduler does then is shown by the functional tests.
"""

import itertools
import types

from nova import conf as nova_conf
from nova import exception as nova_exception
from oslo_config import fixture as config_fixture
import oslo_messaging as messaging
import testtools

from nova_throttle.admission import standstill
from nova_throttle.agreement import controller as controller_lib
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages
from nova_throttle.agreement import source
from nova_throttle.compute.destination import decline
from nova_throttle import conf as throttle_conf


class SpillTestCase(testtools.TestCase):
    """A host with one slot and three requests for it, unless said so."""

    def setUp(self):
        super().setUp()
        throttle_conf.register_opts(nova_conf.CONF)
        self.config = self.useFixture(
            config_fixture.Config(nova_conf.CONF)
        ).config
        self.incoming = destination.Destination(
            'dest', 1, {'destination': 1}, post=id
        )
        self.incoming.resume(standstill.Standstill.COUNTING)
        self.throttle = controller_lib.HostController(
            {'in progress': {'source': 1}},
            start=id,
            source=source.Source('dest', 1),
            tell=id,
            destination=self.incoming,
        )
        self.serials = itertools.count()
        self.ask_for(3)

    def ask_for(self, count):
        items = tuple(
            messages.Item(
                f'm{n}',
                f'i{n}',
                'destination',
                messages.Standing.READY,
                arrival=n,
            )
            for n in range(count)
        )
        self.incoming.hear(
            messages.Ask('src', 1, next(self.serials), 1, items, complete=True)
        )

    def check(self, longest, dest_compute=None):
        """Return why the host declines; None if it does not."""
        return self.check_record(
            longest, types.SimpleNamespace(dest_compute=dest_compute)
        )

    def check_record(self, longest, migration):
        self.config(group='nova_throttle', max_incoming_queue=longest)
        try:
            decline.check('dest', self.throttle, migration)
        except messaging.ExpectedException as declined:
            return declined.exc_info[1]
        return None

    def test_the_line_is_too_long(self):
        error = self.check(2)
        # Nova's conductor tries the next host on this one.
        self.assertIsInstance(error, nova_exception.MigrationPreCheckError)
        self.assertIn(
            '2 live migrations wait for host dest, which receives at most 1 '
            'at a time',
            str(error),
        )

    def test_there_is_room_in_the_line(self):
        self.assertIsNone(self.check(3))

    def test_never_declines_by_default(self):
        self.assertIsNone(self.check(None))

    def test_none_may_wait(self):
        self.ask_for(1)
        # Nobody does, and the slot is offered.
        self.assertIsNotNone(self.check(0))
        self.ask_for(0)
        self.assertIsNone(self.check(0))

    def test_a_slot_is_free(self):
        self.throttle.resize('destination', 4)
        self.assertIsNone(self.check(0))

    def test_unlimited(self):
        self.throttle.resize('destination', 0)
        self.assertIsNone(self.check(0))

    def test_a_named_host(self):
        self.assertIsNone(self.check(0, dest_compute='dest'))

    def test_an_old_conductor_sends_no_record(self):
        self.assertIsNone(self.check_record(0, None))
