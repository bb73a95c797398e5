# SPDX-License-Identifier: Apache-2.0

from nova.compute import task_states
from nova.compute import vm_states
from nova.objects import fields
import testtools

from nova_throttle.outcome import words


class WordsTestCase(testtools.TestCase):
    """Pure modules have Nova's words of their own: they are Nova's."""

    def test_they_are_novas(self):
        self.assertEqual(task_states.DELETING, words.DELETING)
        self.assertEqual(task_states.MIGRATING, words.MIGRATING)
        for name in ('ACTIVE', 'DELETED', 'ERROR', 'PAUSED'):
            self.assertEqual(getattr(vm_states, name), getattr(words, name))
        kinds = fields.MigrationType
        self.assertEqual(kinds.EVACUATION, words.EVACUATION)
        self.assertEqual(kinds.LIVE_MIGRATION, words.LIVE)
