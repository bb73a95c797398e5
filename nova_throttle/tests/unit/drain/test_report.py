# SPDX-License-Identifier: Apache-2.0

"""What a picture of a drain is made of, and what is drawn."""

from xml.etree import ElementTree

import testtools

from nova_throttle.drain import chart
from nova_throttle.drain import cloud
from nova_throttle.drain import timeline
from nova_throttle.tests.unit.drain import base


def event(name, begin, end, **more):
    return {
        'event': name,
        'start_time': _text(begin),
        'finish_time': None if end is None else _text(end),
        'result': 'Success',
        **more,
    }


def action(begin, *events, name='live-migration'):
    return {
        'action': name,
        'start_time': _text(begin),
        # Nova lists the newest first.
        'events': list(reversed(events)),
    }


def _text(minutes):
    return base.at(minutes).isoformat().removesuffix('+00:00')


GOOD = action(
    10,
    event('compute_live_migration', 10, 20),
    event('nova_throttle_wait_source', 10, 12),
    event('compute_pre_live_migration', 12, 13),
    event('nova_throttle_wait_transfer-out', 13, 15),
    event('compute_post_live_migration_at_destination', 18, 19),
)
BAD = action(
    0,
    event('compute_pre_live_migration', 2, 3),
    event('compute_rollback_live_migration_at_destination', 4, 5),
    event(
        *('compute_live_migration', 1, 5),
        result='Error',
        details='libvirt said <no>\nand more',
    ),
)


def rows(*migrations, actions=(GOOD, BAD)):
    return timeline.rows(
        migrations,
        lambda uuid: uuid.removeprefix('uuid-'),
        lambda uuid: list(actions),
        cloud.time,
        base.at(60),
    )


FAILED = base.migration('a', 'failed', 1, begin=0, end=5)
COMPLETED = base.migration('a', 'completed', 2, begin=10, end=20)


class TimelineTestCase(testtools.TestCase):
    def spans(self, attempt):
        return [
            (
                span.phase,
                (span.begin - base.NOW).total_seconds() / 60,
                (span.end - base.NOW).total_seconds() / 60,
            )
            for span in attempt.spans
        ]

    def test_phases(self):
        (row,) = rows(FAILED, COMPLETED)
        failed, completed = row.attempts
        self.assertEqual(
            [
                (timeline.QUEUED, 10, 12),
                (timeline.GATE, 10, 12),
                (timeline.PREPARING, 12, 13),
                (timeline.LINK, 13, 15),
                (timeline.FINISHING, 18, 19),
                (timeline.WIRE, 15, 18),
            ],
            self.spans(completed),
        )
        self.assertEqual(
            [
                (timeline.QUEUED, 0, 2),
                (timeline.PREPARING, 2, 3),
                (timeline.ROLLBACK, 4, 5),
                (timeline.WIRE, 3, 4),
            ],
            self.spans(failed),
        )
        self.assertEqual('libvirt said <no>', failed.reason)
        self.assertEqual('', completed.reason)

    def test_what_is_not_over_lasts_until_now(self):
        (row,) = rows(base.migration('a', 'queued', begin=0), actions=())
        self.assertEqual(
            [(timeline.QUEUED, 0, 60)], self.spans(row.attempts[0])
        )

    def test_cold(self):
        cold = action(
            0,
            event('compute_prep_resize', 1, 2),
            event('compute_resize_instance', 2, 5),
            event('compute_finish_resize', 5, 6),
            name='migrate',
        )
        (row,) = rows(
            base.migration('a', 'confirmed', end=7, kind='migration'),
            actions=(cold,),
        )
        self.assertEqual(
            [
                (timeline.QUEUED, 0, 1),
                (timeline.PREPARING, 1, 2),
                (timeline.WIRE, 2, 5),
                (timeline.FINISHING, 5, 6),
            ],
            self.spans(row.attempts[0]),
        )


class ChartTestCase(testtools.TestCase):
    def test_it_is_one_document_that_loads_nothing(self):
        evil = base.migration('<b>&"\n', 'running', 3, begin=1)
        picture = chart.svg('Drain of <x>', rows(FAILED, COMPLETED, evil))
        root = ElementTree.fromstring(picture)
        texts = [each.text for each in root.iter() if each.text]
        self.assertIn('Drain of <x>', texts)
        self.assertIn('<b>&"?', texts)
        self.assertIn('to dest', texts)
        self.assertIn('failed: libvirt said <no>', texts)
        for word in ('href', 'script', 'url(', '@import'):
            self.assertNotIn(word, chart.html('t', rows(COMPLETED)))

    def test_each_phase_has_its_place(self):
        picture = chart.svg('t', rows(COMPLETED))
        root = ElementTree.fromstring(picture)
        bars = {
            each[0].text.partition(',')[0]: each.attrib
            for each in root.iter()
            if each.tag.endswith('rect') and len(each)
        }
        self.assertEqual(
            {*chart.COLOURS} - {'checks', 'rolling back'}, {*bars}
        )
        wire = bars[timeline.WIRE]
        begin, width = float(wire['x']), float(wire['width'])
        # From the half of it to eight tenths.
        self.assertAlmostEqual(chart.LABEL + chart.WIDTH * 0.5, begin, 0)
        self.assertAlmostEqual(chart.WIDTH * 0.3, width, 0)
