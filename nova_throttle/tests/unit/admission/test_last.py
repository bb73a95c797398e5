# SPDX-License-Identifier: Apache-2.0

"""A gate that is asked last: after this host, and after every other."""

from nova_throttle.admission import controller
from nova_throttle.admission import remote
from nova_throttle.admission import request as request_lib
from nova_throttle.tests.unit.admission import base

DEST = request_lib.RemoteGate('destination', 'dest')
LAST = request_lib.RemoteGate('shared', '')
Standing = remote.Standing


class Notes(remote.Keeper):
    """Knows the last that was said of each request at each gate."""

    def __init__(self):
        self.said = {}

    def note(self, want):
        self.said[want.request.migration_uuid, want.gate] = want.standing

    def due(self):
        return ()

    def known(self):
        return {}


class LastTestCase(base.CoreTestCase):
    def setUp(self):
        super().setUp()
        self.notes = Notes()
        self.throttle = controller.Controller(
            {base.STAGE: {'source': 1}},
            self._start,
            keepers=dict.fromkeys(('destination', 'shared'), self.notes),
            patience=2,
        )
        self.request('a')

    def request(self, name):
        request = request_lib.Request(
            migration_uuid=name,
            instance_uuid='',
            destination='dest',
            needs=(request_lib.Needs(('source',), (DEST, LAST)),),
        )
        self.throttle.submit(request)
        return request

    def assert_said(self, dest, last, name='a'):
        said = self.notes.said
        self.assertEqual((dest, last), (said[name, DEST], said[name, LAST]))

    def grant(self, gate, name='a'):
        self.throttle.grant(remote.Granted(name, gate))

    def refuse(self, closed=False):
        self.throttle.answer(remote.Refused('a', LAST, closed))

    def reopen(self):
        self.throttle.answer(remote.Room('a', LAST))

    def test_it_is_asked_when_the_request_has_all_else(self):
        self.assert_said(Standing.READY, Standing.WAITS)
        self.grant(DEST)
        self.assert_said(Standing.KEEPS, Standing.READY)
        self.grant(LAST)
        self.assert_said(Standing.HOLDS, Standing.HOLDS)
        self.assertEqual(['a'], self.started)

    def test_a_refusal_gives_all_else_back(self):
        self.grant(DEST)
        self.refuse()
        self.assert_said(Standing.WAITS, Standing.READY)
        self.assertEqual((), self.owners('source'))
        # Its room is looked for; then the others are asked first again.
        self.reopen()
        self.assert_said(Standing.READY, Standing.WAITS)
        self.grant(DEST)
        self.grant(LAST)
        self.assertEqual(['a'], self.started)

    def test_a_refused_one_keeps_its_position(self):
        self.request('b')
        self.grant(DEST)
        self.refuse()
        self.assertEqual(['a', 'b'], self.queued())

    def test_what_does_not_need_it_goes_on(self):
        self.grant(DEST)
        self.refuse()
        self.submit('c', 'source')
        self.assertEqual(['c'], self.started)

    def test_it_is_never_kept_for_what_lacks_something_else(self):
        """A grant that comes late is declined."""
        self.grant(LAST)
        self.assert_said(Standing.READY, Standing.WAITS)
        self.assertEqual([], self.started)

    def test_nothing_is_kept_for_a_gate_that_is_closed(self):
        for _ in range(4):
            self.grant(DEST)
            self.refuse()
            self.reopen()
        # Passed over for too long: the slot of its destination is kept.
        self.grant(DEST)
        self.assert_said(Standing.KEEPS, Standing.INSISTS)
        self.refuse()
        self.assert_said(Standing.KEEPS, Standing.INSISTS)
        self.refuse(closed=True)
        self.assert_said(Standing.WAITS, Standing.READY)
        self.reopen()
        self.grant(DEST)
        self.grant(LAST)
        self.assertEqual(['a'], self.started)

    def test_one_that_refused_and_is_waived(self):
        self.grant(DEST)
        self.refuse()
        self.throttle.answer(remote.Waived(LAST, float('inf')))
        self.assert_said(Standing.READY, Standing.WAITS)
        self.grant(DEST)
        self.assertEqual(['a'], self.started)

    def test_cancelled_while_it_is_refused(self):
        self.grant(DEST)
        self.refuse()
        self.throttle.cancel('a')
        self.assert_said(Standing.GONE, Standing.GONE)
        self.assert_idle()
