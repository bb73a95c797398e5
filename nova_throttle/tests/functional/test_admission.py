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

"""Live migrations are admitted as the operator set it."""

from nova_throttle.tests.functional import base


class OneAtATimeTestCase(base.ThrottleTestCase):
    """The default limit of one."""

    def test_queued_preparing_running_completed(self):
        a, b = self.boot(2)
        self.guests.hold(a, b)
        self.migrate(a)
        self.guests.wait_running(a)
        self.wait_status(a, 'running')
        self.migrate(b)
        self.assertEqual('queued', self.status(b))
        (entry,) = self.throttle.snapshot().queue
        self.assertEqual(self.migration(b).uuid, entry.migration_uuid)
        self.assertEqual('dest', entry.destination)
        self.guests.release(a)
        self.guests.wait_running(b)
        self.wait_status(a, 'completed')
        self.guests.release(b)
        self.wait_status(b, 'completed')
        self.assert_on(a, 'dest')
        self.assert_on(b, 'dest')
        self.assertEqual(1, self.guests.most_running)
