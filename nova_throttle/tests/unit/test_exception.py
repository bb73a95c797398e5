# SPDX-License-Identifier: Apache-2.0

"""An error carries its data wherever it goes."""

import copy
import pickle
import sys

from oslo_messaging._drivers import common
import testtools

from nova_throttle import exception


class ThrottleErrorTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.error = exception.GateFull(gate='source', limit=3)
        self.text = 'gate source has no free slot (limit 3)'

    def test_the_message_is_made_of_the_data(self):
        self.assertEqual(self.text, str(self.error))
        self.assertEqual(('source', 3), (self.error.gate, self.error.limit))

    def test_survives_copy_and_pickle(self):
        for again in (
            copy.copy(self.error),
            pickle.loads(pickle.dumps(self.error)),
        ):
            self.assertIs(exception.GateFull, type(again))
            self.assertEqual(self.text, str(again))
            self.assertEqual(3, again.limit)

    def send(self, *allowed):
        """Return what a caller gets when the error is raised remotely."""
        try:
            raise self.error
        except exception.GateFull:
            data = common.serialize_remote_exception(sys.exc_info())
        return common.deserialize_remote_exception(data, allowed)

    def test_survives_the_message_bus(self):
        remote = self.send('nova_throttle.exception')
        self.assertIsInstance(remote, exception.GateFull)
        self.assertEqual((self.text,), remote.args)
        self.assertEqual(('source', 3), (remote.gate, remote.limit))

    def test_survives_the_message_bus_twice(self):
        self.error = self.send('nova_throttle.exception')
        remote = self.send('nova_throttle.exception')
        self.assertIsInstance(remote, exception.GateFull)
        self.assertEqual(3, remote.limit)

    def test_every_class_can_be_built_of_a_message(self):
        for name in dir(exception):
            found = getattr(exception, name)
            if isinstance(found, type) and issubclass(
                found, exception.ThrottleError
            ):
                self.assertEqual('what happened', str(found('what happened')))
