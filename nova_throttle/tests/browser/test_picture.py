# SPDX-License-Identifier: Apache-2.0

"""The picture of a drain, as a browser lays it out.

Needs Chromium on the PATH, and nothing else.
"""

import base64
import json
import pathlib
import re
import shutil
import subprocess

import fixtures
import testtools

from nova_throttle.drain import chart
from nova_throttle.tests.unit.drain import base as drain_base
from nova_throttle.tests.unit.drain import test_report

PATIENCE = 120

# Measures what is drawn, and writes it where --dump-dom shows it.
MEASURE = """
<script>
const svg = document.querySelector('svg');
const box = (e) => {
  const b = e.getBBox();
  return {text: e.textContent, x: b.x, y: b.y, w: b.width, h: b.height};
};
const found = {
  width: svg.getBBox().width,
  height: svg.getBoundingClientRect().height,
  texts: [...svg.querySelectorAll('text')].map(box),
  bars: [...svg.querySelectorAll('rect')]
    .filter((e) => e.querySelector('title')).map(box),
  fills: [...svg.querySelectorAll('rect')]
    .map((e) => getComputedStyle(e).fill),
};
const pre = document.createElement('pre');
pre.id = 'found';
pre.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
document.body.append(pre);
</script>
"""


class PictureTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.browser = shutil.which('chromium')
        if self.browser is None:
            self.skipTest('there is no chromium here')
        self.dir = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def dump(self, name, text):
        """Return the document that the browser makes of a file."""
        path = self.dir / name
        path.write_text(text, encoding='utf-8')
        done = subprocess.run(
            [
                *(self.browser, '--headless', '--no-sandbox'),
                *('--disable-gpu', '--disable-dev-shm-usage'),
                *(f'--user-data-dir={self.dir}/profile', '--dump-dom'),
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    def rows(self):
        names = [f'server-with-quite-a-long-name-{n}' for n in range(30)]
        return test_report.rows(
            *(test_report.FAILED, test_report.COMPLETED),
            *(
                drain_base.migration(name, status, 3 + n, begin=n, end=n + 9)
                for n, name in enumerate(names)
                for status in ('completed' if n % 3 else 'error',)
            ),
        )

    def test_nothing_is_cut_off_or_overlaps(self):
        page = chart.html('Drain of <cpu7>', self.rows())
        dom = self.dump('p.html', page.replace('</body>', MEASURE))
        encoded = re.search(r'id="found">([^<]*)<', dom)[1]
        found = json.loads(base64.b64decode(encoded))
        width = chart.LABEL + chart.WIDTH + chart.RESULT
        self.assertGreater(len(found['texts']), 60)
        for text in found['texts']:
            self.assertGreaterEqual(text['x'], 0, text)
            self.assertLessEqual(text['x'] + text['w'], width, text)
            self.assertLessEqual(text['y'] + text['h'], found['height'], text)
        labels = [t for t in found['texts'] if t['text'].startswith('server')]
        self.assertEqual(30, len(labels))
        for label in labels:
            self.assertLess(label['x'] + label['w'], chart.LABEL, label)
        for bar in found['bars']:
            self.assertGreaterEqual(bar['w'], 1, bar)
            self.assertGreaterEqual(bar['x'], chart.LABEL, bar)

    def test_the_svg_file_is_no_error(self):
        dom = self.dump('p.svg', chart.svg('Drain of <cpu7>', self.rows()))
        self.assertNotIn('parsererror', dom)
        self.assertIn('Drain of &lt;cpu7&gt;', dom)
