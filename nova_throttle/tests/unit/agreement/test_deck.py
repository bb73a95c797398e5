# SPDX-License-Identifier: Apache-2.0

"""Two sources, one destination: who of both is on deck there."""

from concurrent import futures

import testtools

from nova_throttle.admission import request as request_lib
from nova_throttle.admission import stages
from nova_throttle.admission import standstill
from nova_throttle.agreement import destination
from nova_throttle.agreement import messages
from nova_throttle.agreement import outgoing
from nova_throttle.agreement import source as source_lib

FIRST, LAST, DECK = 'in progress', 'transfer', stages.DECK


class DeckTestCase(testtools.TestCase):
    """Messages arrive when settle() is called.

    ``self.started`` has what was let in, in order.
    """

    def setUp(self):
        super().setUp()
        self.started = []
        self.arrival = 0
        self.destination = destination.Destination(
            'd',
            1,
            {
                messages.DESTINATION: 0,
                messages.TRANSFER_IN: 1,
                messages.DECK_IN: 1,
            },
            self._post,
        )
        self.destination.resume(standstill.Standstill.COUNTING)
        self.due = set()
        self.sources = {name: self._source(name) for name in 'st'}

    def _post(self, host):
        self.due.add(('tell', host))

    def _source(self, name):
        return outgoing.OutgoingController(
            {FIRST: {'source': 0}, LAST: {'out': 1}, DECK: {'deck-out': 1}},
            self._start,
            source=source_lib.Source(name, 1, self.destination.gates),
            tell=lambda host: self.due.add(('ask', name)),
        )

    def _start(self, grant):
        if grant.stage != FIRST:
            self.started.append((grant.request.migration_uuid, grant.stage))

    def come(self, source, *names):
        for name in names:
            self.arrival += 1
            needs = tuple(
                request_lib.Needs((gate,), (request_lib.RemoteGate(far, 'd'),))
                for gate, far in zip(
                    ('source', 'out', 'deck-out'),
                    self.destination.gates,
                    strict=True,
                )
            )
            controller = self.sources[source]
            controller.submit(
                request_lib.Request(
                    name, f'i-{name}', 'd', needs, arrival=self.arrival
                )
            )
            self.settle()
            controller.advance(name, futures.Future(), True)
            self.settle()

    def settle(self):
        while self.due:
            kind, host = self.due.pop()
            controller = self.sources[host]
            if kind == 'ask':
                ask = controller.compose('d')
                if ask is None:
                    continue
                self.destination.hear(ask)
                if not ask.wants_answer:
                    continue
            controller.receive(self.destination.compose(host))

    def do(self, source, change, *args):
        getattr(self.sources[source], change)(*args)
        self.settle()

    def owners(self, gate=messages.TRANSFER_IN):
        state = self.destination.state(gate)
        return state.owners + state.offered

    def test_one_of_another_source_is_on_deck(self):
        self.come('s', 'a')
        self.come('t', 'b', 'c')
        self.assertEqual([('a', LAST)], self.started)
        self.do('s', 'note_end', 'a')
        self.assertEqual([('a', LAST), ('b', DECK)], self.started)
        self.assertEqual(('a',), self.owners())
        self.assertEqual(('b',), self.owners(messages.DECK_IN))
        self.do('s', 'leave', 'a')
        self.assertEqual(('b', LAST), self.started[-1])
        self.assertEqual((), self.owners(messages.DECK_IN))
        self.assertEqual(('b',), self.owners())

    def test_one_only_of_all_sources(self):
        self.come('s', 'a', 'b')
        self.come('t', 'c')
        self.do('s', 'note_end', 'a')
        self.assertEqual([('a', LAST), ('b', DECK)], self.started)

    def test_both_links_have_to_end(self):
        self.come('s', 'a', 'b')
        self.sources['s'].resize('out', 2)
        self.come('t', 'c')
        self.assertEqual([('a', LAST)], self.started)
        self.do('s', 'leave', 'a')
        # Here the way out is free, and there nobody ends.
        self.assertEqual([('a', LAST), ('b', LAST)], self.started)

    def test_what_was_on_deck_ends(self):
        self.come('s', 'a')
        self.come('t', 'b', 'c')
        self.do('s', 'note_end', 'a')
        self.do('t', 'leave', 'b')
        self.assertEqual(('c', DECK), self.started[-1])
        self.assertEqual(('c',), self.owners(messages.DECK_IN))

    def test_a_source_that_says_all_again_changes_nothing(self):
        self.come('s', 'a')
        self.come('t', 'b')
        self.do('s', 'note_end', 'a')
        for host in 'st':
            self.destination.hear(self.sources[host].report('d', 1))
        self.settle()
        self.assertEqual(('a',), self.owners())
        self.assertEqual(('b',), self.owners(messages.DECK_IN))
        self.assertEqual([('a', LAST), ('b', DECK)], self.started)

    def test_one_that_steps_aside_lets_other_sources_go_first(self):
        self.come('s', 'a')
        self.come('t', 'b', 'c')
        self.come('s', 'late')
        self.do('s', 'step_aside', 'a')
        self.assertEqual([('a', LAST), ('b', LAST)], self.started)
        self.do('t', 'leave', 'b')
        self.do('t', 'leave', 'c')
        self.assertEqual(('late', LAST), self.started[-1])
        self.do('s', 'leave', 'late')
        self.assertEqual(('a', LAST), self.started[-1])

    def test_a_link_without_a_limit_has_no_deck(self):
        self.destination.resize(messages.TRANSFER_IN, 0)
        self.assertEqual(0, self.destination.state(messages.DECK_IN).limit)
        self.destination.resize(messages.TRANSFER_IN, 3)
        self.assertEqual(1, self.destination.state(messages.DECK_IN).limit)

    def limit(self):
        return self.destination.state(messages.TRANSFER_IN).limit

    def test_it_takes_as_many_as_its_sources_have_found(self):
        self.destination.follow_sources(True)
        self.assertEqual(1, self.limit())
        self.come('s', 'a', 'b')
        self.do('s', 'resize_link', 'out', 2)
        self.assertEqual(2, self.limit())
        self.assertEqual([('a', LAST), ('b', LAST)], self.started)
        self.come('t', 'c')
        self.do('t', 'resize_link', 'out', 99)
        self.assertEqual(destination.MOST_TRANSFERS, self.limit())
        for source, name in (('t', 'c'), ('s', 'a'), ('s', 'b')):
            self.do(source, 'finish', name)
        self.assertEqual(1, self.limit())

    def test_or_as_many_as_it_is_told_to(self):
        self.come('s', 'a')
        self.do('s', 'resize_link', 'out', 2)
        self.assertEqual(1, self.limit())
        self.destination.follow_sources(True)
        self.assertEqual(2, self.limit())
        self.destination.follow_sources(False)
        self.destination.resize(messages.TRANSFER_IN, 3)
        self.do('s', 'resize_link', 'out', 4)
        self.assertEqual(3, self.limit())
