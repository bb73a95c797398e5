# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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
