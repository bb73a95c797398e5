# SPDX-License-Identifier: Apache-2.0

"""What is for Prometheus and Grafana, with a Prometheus that scrapes Nova.

It needs the programs prometheus and promtool: "tox -e metrics" has them.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import urllib.parse
import urllib.request

import fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
import testtools

from nova_throttle.tests.functional import base

MONITORING = pathlib.Path(__file__).parents[3] / 'monitoring'

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: nova-throttle
    static_configs: [{{targets: {targets}}}]
"""

# What libvirt tells of a guest in the middle of its second pass.
STATS = {
    'type': fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED,
    'memory_total': 4 << 30,
    'memory_processed': 5 << 30,
    'memory_remaining': 1 << 30,
    'memory_dirty_rate': 1000,
    'memory_page_size': 4096,
    'memory_iteration': 2,
}


def promtool(*words, text=None):
    """Run promtool; return its status and all that it says."""
    done = subprocess.run(
        ['promtool', *map(str, words)],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=base.PATIENCE,
    )
    return done.returncode, done.stdout


def queries():
    """Return the queries of the dashboard, by the title of their panel."""
    dashboard = json.loads((MONITORING / 'dashboard.json').read_text())
    return {
        (panel['title'], target['refId']): target['expr']
        for panel in dashboard['panels']
        for target in panel['targets']
    }


class RulesTestCase(testtools.TestCase):
    def test_rules(self):
        path = MONITORING / 'rules.yaml'
        self.assertEqual(0, promtool('check', 'rules', path)[0])
        status, said = promtool(
            'test', 'rules', MONITORING / 'rules-test.yaml'
        )
        self.assertEqual(0, status, said)


class Prometheus(fixtures.Fixture):
    """A Prometheus that scrapes some targets and has our rules."""

    def __init__(self, targets):
        self._targets = targets

    def _setUp(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        config = folder / 'prometheus.yml'
        config.write_text(
            CONFIG.format(
                rules=MONITORING / 'rules.yaml', targets=self._targets
            )
        )
        with contextlib.closing(socket.create_server(('127.0.0.1', 0))) as one:
            self._address = '{}:{}'.format(*one.getsockname())
        process = subprocess.Popen(
            [
                'prometheus',
                f'--config.file={config}',
                f'--storage.tsdb.path={folder}/data',
                f'--web.listen-address={self._address}',
                '--log.level=error',
            ]
        )
        self.addCleanup(process.wait, base.PATIENCE)
        self.addCleanup(process.terminate)

    def read(self, path, **arguments):
        """Ask its API; return None as long as it does not answer."""
        words = urllib.parse.urlencode(arguments)
        url = f'http://{self._address}/api/v1/{path}?{words}'
        try:
            with urllib.request.urlopen(url, timeout=base.PATIENCE) as answer:
                return json.load(answer)['data']
        except ConnectionError:
            return None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionError):
                return None
            raise


class PrometheusTestCase(base.ThrottleTestCase):
    """Of four guests one has arrived, one moves, and two wait."""

    options = {'metrics_bind': '127.0.0.1:0', 'max_outgoing_transfers': 1}
    limit = 2

    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.tests.fixtures.libvirt.Domain.jobStats',
                self.job_stats,
            )
        )
        servers = self.boot(4)
        self.guests.hold(*servers)
        self.migrate(*servers)
        self.wait_for(lambda: self.guests.started)
        arrived = next(s for s in servers if s['id'] == self.guests.started[0])
        self.guests.release(arrived)
        self.wait_status(arrived, 'completed')
        self.wait_for(lambda: len(self.guests.started) == 2)
        # Its progress is seen twice a second.
        self.wait_for(self.src.manager._parts.transfer.progress)

    def job_stats(self, domain, flags=0):
        if domain.UUIDString() in self.guests.running:
            return STATS
        return self.guests.job_stats(domain)

    def targets(self):
        return [
            '{}:{}'.format(*compute.manager._monitoring.address)
            for compute in self.computes.values()
        ]

    def test_promtool_finds_nothing_to_say_of_the_metrics(self):
        text = self.src.manager._monitoring.text()
        self.assertIn('nova_throttle_migration_remaining_bytes{', text)
        self.assertEqual((0, ''), promtool('check', 'metrics', text=text))

    def test_each_query_of_the_dashboard_has_an_answer(self):
        prometheus = self.useFixture(Prometheus(self.targets()))
        for panel, query in queries().items():
            self.wait_for(
                lambda q=query: self.found(prometheus, q),
                lambda p=panel: f'nothing is found for {p}',
            )
        hosts = prometheus.read('label/host/values')
        self.assertEqual(['dest', 'src'], hosts)
        for group in prometheus.read('rules')['groups']:
            for rule in group['rules']:
                self.assertEqual('ok', rule['health'], rule)

    def found(self, prometheus, query):
        answer = prometheus.read('query', query=query.replace('$host', '.*'))
        return answer and answer['result']
