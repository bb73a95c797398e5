# SPDX-License-Identifier: Apache-2.0
"""What the demo prints where there is no terminal."""

import dataclasses
import io

import testtools

from nova_throttle.admission import snapshot
from nova_throttle.demo import lines
from nova_throttle.demo import records
from nova_throttle.demo import report

FULL = snapshot.Wait(
    snapshot.WaitReason.GATE_FULL, 'destination', 2, ('m1', 'm2'), 'b', 3
)
ASKING = snapshot.Wait(snapshot.WaitReason.ASKING, 'destination', host='b')

GATES = {
    'a': {records.SOURCE: '1 of 2'},
    'b': {records.DESTINATION: '1 of unlimited (3 waiting)'},
    'c': {records.DESTINATION: '2 of 2'},
}


class LinesTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.stream = io.StringIO()
        self.lines = lines.Lines(self.stream)

    def told(self):
        """Return what was printed since the last call, without seconds."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return [line.strip().split('  ', 1)[1] for line in text.splitlines()]

    def show(self, *waits, gates=None, change=False):
        server = records.Server(
            *('uuid', 'server-1', 'a', 'b', 'queued'),
            position=2,
            waits_for=waits,
        )
        changes = (server,) if change else ()
        self.lines.picture(report.Picture(gates or {}, (server,), changes))
        return self.told()

    def test_the_reason_comes_with_the_change_of_status(self):
        self.assertEqual(
            [
                'server-1  queued     a -> b  position 2, gate full: '
                'destination b (2 of 2 in progress, position 3)'
            ],
            self.show(FULL, change=True),
        )
        self.assertEqual([], self.show(FULL))

    def test_a_reason_is_told_once(self):
        self.assertEqual(
            ['server-1  queued     a -> b'], self.show(ASKING, change=True)
        )
        self.assertEqual([], self.show(ASKING))
        (line,) = self.show(FULL)
        self.assertTrue(line.startswith('server-1  waits      a -> b'), line)
        self.assertEqual([], self.show(dataclasses.replace(FULL, position=2)))

    def test_gates(self):
        self.lines._gates_at -= lines.GATES_TICK
        self.assertEqual(
            ['gates  a 1 of 2 -> b 1 of unlimited (3 waiting), c 2 of 2'],
            self.show(gates=GATES),
        )
        # Not so soon again.
        self.assertEqual([], self.show())

    def test_a_step(self):
        self.lines.say('Booting')
        self.assertEqual(['Booting'], self.told())

    def test_how_long_it_took_comes_with_the_end(self):
        at = {'queued': 1.0, 'preparing': 3.5, 'running': 4.0, 'completed': 8}
        server = records.Server(*('uuid', 's', 'a', 'b', 'completed'), at)
        self.lines.picture(report.Picture({}, (server,), (server,)))
        self.assertEqual(
            ['s  completed  a -> b  waited 2.5 s, took 4.5 s'], self.told()
        )
