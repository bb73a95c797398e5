# SPDX-License-Identifier: Apache-2.0

"""What is found in Placement says of what it is."""

import uuid

import hypothesis
from hypothesis import strategies as st
import testtools

from nova_throttle.placement import names

GATES = st.from_regex(r'[A-Za-z0-9][A-Za-z0-9._-]{0,62}', fullmatch=True)
PATTERNS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126),
    min_size=1,
    max_size=80,
)


class NamesTestCase(testtools.TestCase):
    @hypothesis.given(GATES, PATTERNS)
    def test_names_can_be_read_back(self, gate, pattern):
        provider = names.provider_of(names.check_gate(gate))
        self.assertEqual((gate, ''), names.parse(provider))
        self.assertEqual(
            (gate, pattern), names.parse(names.member_of(gate, pattern))
        )

    @hypothesis.given(st.uuids(version=4))
    def test_a_consumer_says_which_migration(self, migration):
        consumer = names.consumer_of(str(migration))
        # Nova's own allocations are under the migration itself.
        self.assertNotEqual(str(migration), consumer)
        self.assertEqual(8, uuid.UUID(consumer).version or 8)
        self.assertEqual(str(migration), names.migration_of(consumer))

    @hypothesis.given(st.text())
    def test_a_stranger_is_left_alone(self, name):
        hypothesis.assume(not name.startswith('nova-throttle:'))
        self.assertIsNone(names.parse(name))
        self.assertIsNone(names.parse(f'nova-throttle:/{name}'))

    def test_patterns(self):
        self.assertTrue(names.matches(('a', 'cmp-1*'), 'cmp-12'))
        self.assertFalse(names.matches(('cmp-1*',), 'Cmp-12'))
        self.assertFalse(names.matches((), 'cmp-12'))
