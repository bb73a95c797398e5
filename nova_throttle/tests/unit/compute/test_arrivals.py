# SPDX-License-Identifier: Apache-2.0

"""What comes is counted; that it can't be is no reason to refuse it."""

from unittest import mock

import fixtures
from nova import objects
import testtools

from nova_throttle.compute.destination import arrivals


class BeginTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        objects.register_all()

    def test_records_that_can_not_be_read_keep_nova_from_nothing(self):
        self.useFixture(
            fixtures.MockPatchObject(
                objects.MigrationList,
                'get_by_filters',
                side_effect=RuntimeError('the conductor is away'),
            )
        )
        peers = mock.Mock()
        peers.incoming.begins.return_value = False
        found = arrivals.Arrivals(mock.Mock(host='here'), peers)
        found.begin(mock.sentinel.context, mock.Mock(uuid='an instance'))
        peers.incoming.arrives.assert_not_called()
