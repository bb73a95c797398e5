# SPDX-License-Identifier: Apache-2.0

"""Slots in a Placement that fails, repeats requests and loses answers.

Whatever happens: no gate gets an owner without a free slot (R1), a migration
has a slot of all its gates or of none (R2), and once Placement is well again
everything can be given back (R11).
"""

import uuid

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
import testtools

from nova_throttle.placement import errors
from nova_throttle.placement import names
from nova_throttle.placement import store as store_lib
from nova_throttle.tests.unit.placement import fake

GATES = tuple(map(fake.make_gate, ('a', 'b', 'c')))
UUIDS = [str(uuid.UUID(int=n, version=4)) for n in range(5)]


class StoreMachine(stateful.RuleBasedStateMachine):
    """Migrations that take and give back slots, and what they believe."""

    @stateful.initialize(limits=st.tuples(*[st.integers(1, 3)] * 3))
    def begin(self, limits):
        self.placement = fake.Placement(dict(zip(GATES, limits, strict=True)))
        self.store = store_lib.Store(self.placement)
        # None: nobody knows, for the answer was lost.
        self.believed = dict.fromkeys(UUIDS, ())

    @stateful.rule(
        trouble=st.sampled_from(
            ['refused', 'error', 'repeated', 'lost', 'raced']
        )
    )
    def trouble(self, trouble):
        self.placement.trouble = trouble

    @stateful.rule(
        migration=st.sampled_from(UUIDS),
        gates=st.sets(st.sampled_from(GATES), min_size=1),
    )
    def claim(self, migration, gates):
        try:
            has = self.store.claim(migration, 'src', tuple(gates))
        except errors.PlacementAway:
            self.believed[migration] = None
            return
        self.believed[migration] = {g.uuid for g in gates} if has else ()

    @stateful.rule(migration=st.sampled_from(UUIDS))
    def free(self, migration):
        try:
            self.store.free(migration)
        except errors.PlacementAway:
            self.believed[migration] = None
            return
        self.believed[migration] = ()

    @stateful.invariant()
    def who_believes_to_have_a_slot_has_it(self):
        for migration, believed in getattr(self, 'believed', {}).items():
            held = self.placement.held.get(names.consumer_of(migration), ())
            if believed is not None:
                assert set(held) == set(believed)

    @stateful.invariant()
    def never_more_owners_than_slots(self):
        for gate in GATES if hasattr(self, 'placement') else ():
            owners = [
                migration
                for migration, believed in self.believed.items()
                if gate.uuid in (believed or ())
            ]
            assert len(owners) <= self.placement.limits[gate.uuid]

    def teardown(self):
        if not hasattr(self, 'placement'):
            return
        self.placement.trouble = None
        for migration in UUIDS:
            self.store.free(migration)
            assert self.store.host_of(migration) is None
        assert not self.placement.held


class StoreTestCase(testtools.TestCase):
    def test_whatever_happens(self):
        stateful.run_state_machine_as_test(
            StoreMachine,
            settings=hypothesis.settings(deadline=None, max_examples=200),
        )

    def test_an_error_quotes_nothing(self):
        class Session(fake.Placement):
            def get(self, url, version):
                raise OSError('https://user:secret@placement')

        error = self.assertRaises(
            errors.PlacementAway,
            store_lib.Store(Session({})).gates,
        )
        self.assertEqual('Placement cannot be asked: OSError', str(error))
